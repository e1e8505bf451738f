//! Runs one target over many inputs, and holds each input to the bounds.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use turnpike::dialect::tokens;

use crate::dice::Dice;
use crate::mutate;

/// Inputs per target where the environment does not say.
const INPUTS: u64 = 600;

/// One input in so many is huge: in a short run, so that there are some, and in a long one, where
/// they would be most of the work.
const HUGE: [usize; 2] = [100, 1_000];

/// The longest time that one input may take: far above what is honest, below what is quadratic.
/// Builds for debugging are slow.
const TIME_MAX: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 1 });

/// The most memory at once, in bytes: this per byte of the input …
const PER_BYTE: usize = 256;
/// … and this for itself.
const FIXED: usize = 2 << 20;

/// What is run.
pub(crate) struct Target<'a> {
    /// The name in a failure.
    pub(crate) name: &'a str,
    /// What inputs are made of.
    pub(crate) corpus: &'a [Vec<u8>],
}

impl Target<'_> {
    /// Runs `deed` on as many inputs as are wanted.
    pub(crate) fn run(&self, mut deed: impl FnMut(&mut Dice, &[u8])) {
        assert!(!self.corpus.is_empty(), "{} has a corpus", self.name);
        // What is made once and kept is not the input's, the tokenizer above all.
        let _loaded = tokens::count("x");
        deed(&mut Dice::new(0), &self.corpus[0]);
        let inputs = number("TURNPIKE_FUZZ_INPUTS").unwrap_or(INPUTS);
        if let Some(seed) = number("TURNPIKE_FUZZ_REPLAY") {
            self.check(seed, inputs, &mut deed);
            return;
        }
        let base = number("TURNPIKE_FUZZ_SEED").unwrap_or(1);
        let mut seeds = Dice::new(base ^ hash(self.name));
        for _ in 0..inputs {
            self.check(seeds.next(), inputs, &mut deed);
        }
    }

    /// Runs one input of a run of so many.
    fn check(&self, seed: u64, inputs: u64, deed: &mut impl FnMut(&mut Dice, &[u8])) {
        let mut dice = Dice::new(seed);
        let huge = HUGE[usize::from(inputs > 100_000)];
        let input = mutate::input(&mut dice, self.corpus, huge);
        let mut spent = Duration::MAX;
        let mut peak = u64::MAX;
        // A machine with much else to do may be slow: what seems to be is timed again, by the
        // processor's time of this thread where the system tells it.
        for again in [false, true, true] {
            let (started, busy) = (Instant::now(), if again { processor_time() } else { None });
            let mut went = Ok(());
            let memory = allocation_counter::measure(|| {
                let mut dice = dice.clone();
                went = catch_unwind(AssertUnwindSafe(|| deed(&mut dice, &input)));
            });
            let name = self.name;
            assert!(went.is_ok(), "{name}: panic; {}", self::again(seed, inputs, &input));
            let busy = busy.and_then(|from| Some(processor_time()?.saturating_sub(from)));
            spent = spent.min(busy.unwrap_or_else(|| started.elapsed()));
            peak = peak.min(memory.bytes_max);
            if spent <= TIME_MAX {
                break;
            }
        }
        let bound = u64::try_from(PER_BYTE * input.len() + FIXED).expect("a small number");
        assert!(
            spent <= TIME_MAX && peak <= bound,
            "{}: {spent:?} and {peak} bytes for {} bytes; {}",
            self.name,
            input.len(),
            again(seed, inputs, &input)
        );
    }
}

/// How long this thread has run on a processor, if the system tells.
fn processor_time() -> Option<Duration> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// How to run an input again that failed: by its seed, or from the file where it is kept.
fn again(seed: u64, inputs: u64, input: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{seed}"));
    let written = fs::write(&path, input);
    let path = path.display();
    format!("TURNPIKE_FUZZ_REPLAY={seed} TURNPIKE_FUZZ_INPUTS={inputs}; {path} ({written:?})")
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.replace('_', "").parse().expect("a number"))
}

fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The files below `folder` whose path `wanted` takes.
pub(crate) fn files(folder: &str, wanted: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder), &mut found);
    found.sort();
    found.retain(|path| wanted(&path.to_string_lossy()));
    found.iter().map(|path| fs::read(path).expect("a readable file")).collect()
}

fn visit(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() { visit(&path, found) } else { found.push(path) }
    }
}
