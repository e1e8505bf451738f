//! What stands between the client and the provider.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::cases::{Case, Load};
use super::check::{Expected, Form};
use super::child::{self, Started};
use super::gateway::Gateway;
use super::load::Ask;
use super::pin::Cores;
use super::{Fault, nginx, proc};

/// A kind of proxy, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The client asks the provider itself.
    Direct,
    /// nginx, plain `proxy_pass`.
    Nginx,
    /// Pingora without anything on it.
    Bare,
    /// The gateway.
    Gateway,
}

impl Kind {
    /// All, in the order of the report.
    pub(super) const ALL: [Self; 4] = [Self::Direct, Self::Nginx, Self::Bare, Self::Gateway];

    /// As `--targets` takes it and the report shows it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Bare => "bare",
            Self::Gateway => "gateway",
        }
    }

    /// The kind of this name.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn find(name: &str) -> Result<Self, Fault> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| format!("{name} is not one of direct, nginx, bare, gateway"))
    }

    /// Whether it can do what the case asks for.
    pub(super) fn takes_part(self, case: &Case) -> bool {
        !case.is_cached() || matches!(self, Self::Nginx | Self::Gateway | Self::Direct)
    }
}

/// A running proxy.
pub(super) struct Target {
    kind: Kind,
    at: SocketAddr,
    /// The processes whose cost is counted.
    pub(super) pids: Vec<u32>,
    process: Option<Started>,
}

/// What proxies are started with.
pub(super) struct Site<'a> {
    pub(super) dir: &'a Path,
    pub(super) cores: &'a Cores,
    pub(super) provider: SocketAddr,
    pub(super) gateway: Option<&'a Gateway>,
}

impl Target {
    /// Starts a proxy on its core, and waits until it listens.
    ///
    /// # Errors
    /// It does not start.
    pub(super) async fn start(kind: Kind, case: &Case, site: &Site<'_>) -> Result<Self, Fault> {
        let (process, at) = match kind {
            Kind::Direct => (None, site.provider),
            Kind::Bare => {
                let at = child::free_address()?;
                let myself = std::env::current_exe().map_err(|e| e.to_string())?;
                let mut command = Command::new(myself);
                command.arg("--as-bare-pingora").arg(at.to_string());
                command.arg(site.provider.to_string());
                let start = || Started::new("bare", &mut command, site.dir);
                (Some(site.cores.on_proxy_core(start)?), at)
            }
            Kind::Nginx => {
                let start = || nginx::start(site.dir, site.provider);
                let (process, plain, caching) = site.cores.on_proxy_core(start)?;
                (Some(process), if case.is_cached() { caching } else { plain })
            }
            Kind::Gateway => {
                let gateway = site.gateway.ok_or("the gateway is not prepared")?;
                let start = || gateway.start(site.provider);
                let (process, at) = site.cores.on_proxy_core(start)?;
                (Some(process), at)
            }
        };
        let mut target = Self { kind, at, pids: Vec::new(), process };
        if let Some(process) = &mut target.process {
            process.listens(at).await.map_err(|e| format!("{e} (see its log under --keep)"))?;
            target.pids = proc::family(process.pid());
        }
        Ok(target)
    }

    /// The request of a case, as this proxy takes it, and what must come back.
    pub(super) fn ask(&self, case: &Case, expected: &Expected, site: &Site<'_>) -> Ask {
        let gateway = self.kind == Kind::Gateway;
        let translates = gateway && case.form() == Form::Anthropic;
        let expected =
            if translates { expected.as_form(Form::Chat) } else { expected.as_form(case.form()) };
        let path = if gateway { "/v1/chat/completions".to_owned() } else { case.place().path() };
        let key = match site.gateway {
            Some(prepared) if gateway => prepared.key.as_str(),
            // As long as a key of the gateway, so that heads are about equally long.
            _ => "sk-tp-v1-0000000000000000000000000000000000000000000",
        };
        let mut extra = String::new();
        if case.form() == Form::Anthropic && !gateway {
            extra.push_str("anthropic-version: 2023-06-01\r\n");
        }
        if case.is_cached() {
            extra.push_str("X-OpenRouter-Cache: true\r\n");
        }
        let body = case.body(translates);
        let accept = match case.load {
            Load::Requests(requests) if !requests.stream => "application/json",
            Load::Requests(_) | Load::Streams { .. } => "text/event-stream",
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {at}\r\nAccept: {accept}\r\n\
             Content-Type: application/json\r\nUser-Agent: OpenAI/Python 1.99.0\r\n\
             Authorization: Bearer {key}\r\n{extra}Content-Length: {length}\r\n\r\n",
            at = self.at,
            length = body.len(),
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(body.as_bytes());
        Ask { to: self.at, request, expected }
    }

    /// Ends it.
    ///
    /// # Errors
    /// It does not end, or not cleanly.
    pub(super) async fn end(self) -> Result<(), Fault> {
        let Some(process) = self.process else { return Ok(()) };
        let status = process.end().await?;
        // Bare Pingora ends with a status of its own when it is told to stop; only ours must be 0.
        if self.kind == Kind::Gateway && !status.success() {
            return Err(format!("the gateway ended with {status}"));
        }
        Ok(())
    }
}
