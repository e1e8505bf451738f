//! The gateway with everything on: keys, holds, a ledger on disk, metrics, an access log.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Fault;
use super::child::{self, Started, output};
use super::provider::PLACES;

const ACCOUNT: &str = "bench";
const CREDIT_USD: &str = "1000000";

/// What all its starts share: the binary, the ledger and the key.
pub(super) struct Gateway {
    turnpike: PathBuf,
    dir: PathBuf,
    data: PathBuf,
    pub(super) key: String,
}

impl Gateway {
    /// Makes a ledger with one account and one key.
    ///
    /// # Errors
    /// A command fails.
    pub(super) fn prepare(turnpike: &Path, dir: &Path) -> Result<Self, Fault> {
        let dir = dir.join("gateway");
        let data = dir.join("data");
        std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
        let run =
            |args: &[&str]| output(Command::new(turnpike).args(args).arg("--data").arg(&data));
        run(&["accounts", "create", ACCOUNT])?;
        run(&["accounts", "top-up", ACCOUNT, CREDIT_USD])?;
        let said = run(&["keys", "create", "--account", ACCOUNT])?;
        let key = said.lines().find_map(|line| line.strip_prefix("api_key: "));
        let key = key.ok_or("`turnpike keys create` prints no api_key")?.trim().to_owned();
        Ok(Self { turnpike: turnpike.to_owned(), dir, data, key })
    }

    /// Starts it; gives where it listens.
    ///
    /// # Errors
    /// It does not start.
    pub(super) fn start(&self, upstream: SocketAddr) -> Result<(Started, SocketAddr), Fault> {
        let listen = child::free_address()?;
        let admin = child::free_address()?;
        let path = self.dir.join("turnpike.toml");
        std::fs::write(&path, self.config(listen, admin, upstream)).map_err(|e| e.to_string())?;
        let mut command = Command::new(&self.turnpike);
        command.args(["serve", "-c"]).arg(&path).env("TURNPIKE_BENCH_KEY", "sk-ant-simulated");
        Ok((Started::new("turnpike", &mut command, &self.dir)?, listen))
    }

    /// Recomputes the ledger of everything that was measured; gives what the command says.
    ///
    /// # Errors
    /// It does not hold.
    pub(super) fn verify(&self) -> Result<String, Fault> {
        output(Command::new(&self.turnpike).args(["ledger", "verify", "--data"]).arg(&self.data))
    }

    fn config(&self, listen: SocketAddr, admin: SocketAddr, upstream: SocketAddr) -> String {
        let data = self.data.display().to_string();
        let access = self.dir.join("access.log").display().to_string();
        let mut text = format!(
            "[server]\nlisten = [\"{listen}\"]\nthreads = 1\n[admin]\nlisten = \"{admin}\"\n\
             [ledger]\ndata_dir = {data:?}\n[log]\naccess = {access:?}\nlevel = \"warn\"\n"
        );
        for place in PLACES {
            let (id, dialect, model) = (place.id, place.dialect, place.model);
            let base = place.base_url(upstream);
            // Writing into a String can't fail.
            let _infallible = write!(
                text,
                "[[providers]]\nid = \"{id}\"\ndialect = \"{dialect}\"\nbase_url = \"{base}\"\n\
                 api_key = \"env:TURNPIKE_BENCH_KEY\"\n\
                 [[models]]\nid = \"{model}\"\ncontext_length = 131072\n\
                 [[models.endpoints]]\nprovider = \"{id}\"\nupstream_model = \"sim-{id}\"\n\
                 max_output = 8192\nprices = {{ prompt = \"0.15\", completion = \"0.60\" }}\n",
            );
        }
        text
    }
}
