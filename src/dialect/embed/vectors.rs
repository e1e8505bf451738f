//! Runs `tests/vectors-embed`, and for [`super::super::rerank`] `tests/vectors-rerank`: what a
//! client sends → what a provider gets, and what it answers → what the client gets. A case is a
//! folder below the dialect's; tests/vectors-embed/README.md says what its files mean.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::dialect::Bill;
use crate::dialect::{AnswerFault, AnswerShape, Dialect, Target};
use crate::error::GatewayError;
use crate::vocab::NanoUsd;

pub(in crate::dialect) const COST: Option<Bill> =
    Some(Bill { cost: NanoUsd(123_000), upstream: None });

type Write = fn(Dialect, &[u8], &Target<'_>) -> Result<Vec<u8>, GatewayError>;
type Answer = fn(Dialect, &[u8], &[u8], &AnswerShape) -> Result<Vec<u8>, AnswerFault>;

/// A surface without streams.
pub(in crate::dialect) struct Runner {
    /// The folder in `tests`.
    pub(in crate::dialect) root: &'static str,
    /// The client's body → the provider's.
    pub(in crate::dialect) write: Write,
    /// The client's body and the provider's answer → the client's.
    pub(in crate::dialect) answer: Answer,
}

struct Case {
    dialect: Dialect,
    folder: PathBuf,
}

impl Case {
    fn json(&self, name: &str) -> Option<Value> {
        let bytes = fs::read(self.folder.join(name)).ok()?;
        let read = serde_json::from_slice(&bytes);
        Some(read.unwrap_or_else(|e| panic!("{:?} {name}: {e}", self.folder)))
    }

    fn expected(&self, name: &str, got: &Value) -> Value {
        let path = self.folder.join(name);
        if !path.exists() && std::env::var_os("TURNPIKE_BLESS").is_some() {
            fs::write(path, serde_json::to_string_pretty(got).unwrap() + "\n").unwrap();
        }
        self.json(name).unwrap_or_else(|| panic!("{:?} lacks {name}", self.folder))
    }
}

impl Runner {
    /// Runs every case and returns how many there are.
    pub(in crate::dialect) fn run(&self) -> usize {
        let cases = self.cases();
        for case in &cases {
            let request = fs::read(case.folder.join("request.json")).unwrap();
            self.check_request(case, &request);
            if let Ok(answer) = fs::read(case.folder.join("answer.json")) {
                self.check_answer(case, &request, &answer);
            }
        }
        cases.len()
    }

    fn cases(&self) -> Vec<Case> {
        let folders = |at: &Path| {
            let entries = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path());
            let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
            folders.sort();
            folders
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(self.root);
        let mut cases = Vec::new();
        for of_dialect in folders(&root) {
            let name = of_dialect.file_name().unwrap().to_str().unwrap();
            let dialect = Dialect::parse(name).expect("a dialect");
            cases.extend(folders(&of_dialect).into_iter().map(|folder| Case { dialect, folder }));
        }
        cases
    }

    fn check_request(&self, case: &Case, request: &[u8]) {
        let target = Target::new("up-model", 0);
        match ((self.write)(case.dialect, request, &target), case.json("error.json")) {
            (Ok(bytes), None) => {
                let got: Value = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(got, case.expected("upstream.json", &got), "{:?}", case.folder);
            }
            (Err(error), Some(expected)) => {
                let got = json!({"status": error.kind.status(), "param": error.param});
                assert_eq!(got, expected, "{:?}: {}", case.folder, error.message);
            }
            (Ok(_), Some(_)) => panic!("{:?}: an error is expected", case.folder),
            (Err(error), None) => panic!("{:?}: {}", case.folder, error.message),
        }
    }

    fn check_answer(&self, case: &Case, request: &[u8], answer: &[u8]) {
        let shape = AnswerShape {
            id: "gen-test".into(),
            model: "author/model".into(),
            provider: "Host".into(),
            ..AnswerShape::default()
        };
        let expected_fault = case.json("fault.json").map(|fault| match fault["kind"].as_str() {
            Some("truncated") => AnswerFault::Truncated,
            Some("empty") => AnswerFault::Empty,
            _ => AnswerFault::InBand {
                code: fault["in_band"].as_str().map(Into::into),
                message: fault["message"].as_str().unwrap().into(),
            },
        });
        match ((self.answer)(case.dialect, request, answer, &shape), expected_fault) {
            (Ok(bytes), None) => {
                let got: Value = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(got, case.expected("client.json", &got), "{:?}", case.folder);
            }
            (Err(fault), expected) => assert_eq!(Some(fault), expected, "{:?}", case.folder),
            (Ok(_), Some(_)) => panic!("{:?}: a fault is expected", case.folder),
        }
        for cut in 0..answer.trim_ascii_end().len() {
            let result = (self.answer)(case.dialect, request, &answer[..cut], &shape);
            assert!(result.is_err(), "{:?} cut at {cut} looks whole", case.folder);
        }
    }
}
