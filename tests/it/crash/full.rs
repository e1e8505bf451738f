//! A disk that is full.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use turnpike::dialect::Dialect;

use super::{all_charged, books, export, sound, stop, under_load, until_asked, verified};
use crate::support::gateway::MODEL;
use crate::support::{Gateway, Setup, ask, providers};

/// A small file system over the gateway's data, in a namespace of its own for as long as this lives.
struct SmallDisk {
    keeper: Child,
    data: PathBuf,
}

impl SmallDisk {
    /// Puts the data of a stopped gateway on it. Nothing, where namespaces are not allowed.
    fn over(data: &Path, size: &str) -> Option<Self> {
        let copy = data.with_extension("copy");
        let script = format!(
            "cp -a {data:?} {copy:?} && mount -t tmpfs -o size={size} tmpfs {data:?} && \
             cp -a {copy:?}/. {data:?}/ && echo ready && exec sleep 600"
        );
        let mut keeper = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(keeper.stdout.take()?).read_line(&mut line).ok()?;
        let disk = Self { keeper, data: data.to_owned() };
        (line.trim() == "ready").then_some(disk)
    }

    /// What to put before a command so that it sees the disk.
    fn inside(&self) -> Vec<String> {
        let pid = self.keeper.id().to_string();
        let enter = ["nsenter", "--preserve-credentials", "--user", "--mount", "--target", &pid];
        // The way into the namespace leads to its root.
        let back = ["sh", "-c", "cd \"$0\" && exec \"$@\""];
        let dir = self.data.parent().expect("a directory").to_str().expect("UTF-8");
        enter.into_iter().chain(back).chain([dir]).map(str::to_owned).collect()
    }

    /// A path on the disk as it is seen from here.
    fn path(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(self.data.strip_prefix("/").expect("an absolute path")).join(name)
    }

    /// Takes all the space that there is.
    fn fill(&self) {
        let mut file = File::create(self.path("ballast")).expect("a file");
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    /// Gives it back.
    fn free(&self) {
        std::fs::remove_file(self.path("ballast")).expect("the ballast");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.keeper.kill().expect("it can be killed");
        self.keeper.wait().expect("it ends");
    }
}

fn eventually(what: &str, mut wanted: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !wanted() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_full_disk_stops_paid_work_until_there_is_space() {
    let running = providers(&[("one", Dialect::OpenAi), ("two", Dialect::Anthropic)]);
    let mut gateway = Gateway::start(&running, &Setup { credit: "100000", ..Setup::default() });
    stop(&mut gateway);
    let Some(disk) = SmallDisk::over(&gateway.data(), "48m") else {
        eprintln!("skipped: there is no making of user namespaces here");
        return;
    };
    gateway.within = disk.inside();
    gateway.restart();
    let asked = AtomicU64::new(0);
    let (address, key) = (gateway.address, gateway.key.clone());
    let mut seen = Vec::new();
    for round in 1..=3 {
        seen.extend(under_load((address, &key), round * super::CLIENTS, &asked, || {
            let before = asked.load(std::sync::atomic::Ordering::Relaxed);
            until_asked(&asked, before + 200);
            disk.fill();
            // Commits go on in space that was taken ahead, until that is used up.
            eventually("it says that it cannot write", || {
                gateway.metric("turnpike_ledger_healthy", &[]) == 0.0
            });
            let refused = gateway.client().chat(&ask(MODEL, "Say something", false, 8));
            let told = refused.json();
            assert_eq!(refused.status, 503, "{told}");
            disk.free();
            eventually("it takes work again", || {
                gateway.metric("turnpike_ledger_healthy", &[]) == 1.0
            });
            let good = gateway.client().chat(&ask(MODEL, "Say something", false, 8));
            assert!(good.is_good(), "{}", good.text());
            gateway.signal(if round == 3 { "KILL" } else { "TERM" });
            let _ended_one_way_or_the_other = gateway.wait(Duration::from_secs(60));
        }));
        gateway.restart();
    }
    stop(&mut gateway);
    // From its own disk, to be looked at. That goes away with the directory that it covers.
    let saved = gateway.data().with_extension("saved");
    let copied = Command::new("cp").arg("-a").arg(disk.path("")).arg(&saved).status();
    assert!(copied.expect("cp runs").success());
    drop(disk);
    std::fs::remove_dir_all(gateway.data()).expect("what the disk covered");
    std::fs::rename(saved, gateway.data()).expect("a free name");
    gateway.within.clear();
    let report = sound(&gateway, "at the end");
    assert_eq!(verified(&report, "open holds"), "0");
    let books = books(&export(&gateway));
    assert_eq!(books.held, books.ended(), "every hold ended");
    let (whole, streamed, partial) = all_charged(&seen, &books);
    eprintln!(
        "3 times full: {whole} answers received whole ({streamed} streamed) and {partial} in part, \
         all charged"
    );
    assert!(whole > 100, "the load was real: {whole}");
}
