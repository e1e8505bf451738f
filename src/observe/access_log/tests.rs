use std::sync::mpsc;

use super::*;
use crate::vocab::GenerationId;

const LONG: Duration = Duration::from_secs(20);

fn line(n: u64) -> AccessLine {
    let mut line = AccessLine::new(n, GenerationId::from_bits(u128::from(n)));
    line.set_request("GET", "/v1/models");
    line
}

/// An output that shows what it got.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output that says when a write began and takes it only when told to.
struct Gate {
    began: mpsc::Sender<()>,
    go: mpsc::Receiver<io::Result<()>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.began.send(()).map_err(io::Error::other)?;
        self.go.recv().map_err(io::Error::other)?.map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gated(bytes_max: usize) -> (AccessLog, mpsc::Receiver<()>, mpsc::Sender<io::Result<()>>) {
    let (began, when_began) = mpsc::channel();
    let (say_go, go) = mpsc::channel();
    let gate = Box::new(Gate { began, go });
    let log = AccessLog::start_on(gate, LineFormat::Text, bytes_max).expect("a thread");
    (log, when_began, say_go)
}

#[test]
fn every_line_is_written_once_and_whole_from_many_threads() {
    let shown = Shown::default();
    let output = Box::new(shown.clone());
    let log = AccessLog::start_on(output, LineFormat::Json, 64 << 20).expect("a thread");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = &log;
            scope.spawn(move || {
                for n in 0..1_000 {
                    assert!(log.write(&line(thread * 1_000 + n)), "there is room");
                }
            });
        }
    });
    assert!(log.flush(LONG), "written in time");
    let text = String::from_utf8(shown.0.lock().clone()).expect("ASCII");
    let mut seen: Vec<u64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("valid JSON"))
        .map(|line| line["ts_ms"].as_u64().expect("a number"))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..8_000).collect::<Vec<_>>());
    assert_eq!(log.dropped(), 0);
}

#[test]
fn a_stuck_output_drops_lines_and_never_waits() {
    let one = {
        let mut spelled = Vec::new();
        line(1).write_text(&mut spelled);
        spelled.len()
    };
    let (log, began, go) = gated(one * 10);
    assert!(log.write(&line(1)), "taken");
    began.recv_timeout(LONG).expect("the writer is stuck in its first write");
    for n in 0..10 {
        assert!(log.write(&line(n)), "line {n} waits in the buffer");
    }
    for n in 0..7 {
        assert!(!log.write(&line(n)), "line {n} does not fit");
    }
    assert_eq!(log.dropped(), 7);
    assert!(!log.flush(Duration::from_millis(1)), "still stuck");
    assert!(!log.close(Duration::from_millis(1)), "closing does not hang either");
    assert!(!log.write(&line(1)), "closed");
    go.send(Ok(())).expect("the writer lives");
    go.send(Ok(())).expect("the writer lives");
    assert!(log.close(LONG), "the rest was written");
    assert_eq!(log.dropped(), 8, "what was taken was not dropped");
}

#[test]
fn failed_writes_count_as_dropped_and_do_not_end_the_log() {
    let (log, began, go) = gated(1 << 20);
    go.send(Err(io::Error::from(io::ErrorKind::StorageFull))).expect("the writer lives");
    assert!(log.write(&line(1)), "taken");
    assert!(log.flush(LONG), "settled, though lost");
    assert_eq!(log.dropped(), 1);
    go.send(Ok(())).expect("the writer lives");
    assert!(log.write(&line(2)), "taken");
    assert!(log.flush(LONG), "written");
    assert_eq!(log.dropped(), 1, "no more lost");
    assert_eq!(began.iter().take(2).count(), 2, "two writes");
}

#[test]
fn a_file_is_appended_to_and_can_be_rotated() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    std::fs::write(&path, "before\n").expect("written");
    let target = Target::File(path.clone());
    let log = AccessLog::start(target, LineFormat::Text, 1 << 20).expect("a file");
    assert!(log.write(&line(1)) && log.flush(LONG), "written");
    std::fs::rename(&path, &moved).expect("moved");
    log.reopen();
    assert!(log.write(&line(2)) && log.close(LONG), "written");
    let old = std::fs::read_to_string(&moved).expect("the old file");
    let new = std::fs::read_to_string(&path).expect("the new file");
    // Whether the second line went to the old or the new file would depend on the writer's
    // timing, had it not been appended after the order to reopen.
    assert!(old.starts_with("before\nts_ms=1 ") && old.lines().count() == 2, "{old:?}");
    assert!(new.starts_with("ts_ms=2 ") && new.lines().count() == 1, "{new:?}");
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error() {
    let target = Target::File("/nonexistent/folder/access.log".into());
    assert!(AccessLog::start(target, LineFormat::Json, 1_000).is_err());
}
