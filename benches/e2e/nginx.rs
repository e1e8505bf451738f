//! nginx as people put it in front of a provider: one worker, a plain `proxy_pass`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::Fault;
use super::child::{self, Started};

/// Whether there is one, and which.
pub(super) fn version() -> Option<String> {
    let done = Command::new("nginx").arg("-v").output().ok()?;
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    said.split_once("version: ").map(|(_, version)| version.to_owned())
}

/// Starts it; gives where it listens plainly, and where it caches.
///
/// # Errors
/// It does not start.
pub(super) fn start(
    dir: &Path,
    upstream: SocketAddr,
) -> Result<(Started, SocketAddr, SocketAddr), Fault> {
    let plain = child::free_address()?;
    let caching = child::free_address()?;
    let dir = dir.join("nginx");
    std::fs::create_dir_all(dir.join("logs")).map_err(|e| e.to_string())?;
    let path = dir.join("nginx.conf");
    std::fs::write(&path, config(&dir, plain, caching, upstream)).map_err(|e| e.to_string())?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&dir).arg("-c").arg(&path);
    let process = Started::new("nginx", &mut command, &dir)?;
    Ok((process, plain, caching))
}

/// Buffers are large enough that no request goes through a file, and no connection is closed for
/// its age: so it is as good as it can be. It writes no access log.
fn config(dir: &Path, plain: SocketAddr, caching: SocketAddr, upstream: SocketAddr) -> String {
    // Its worker gives up root otherwise, and may not write its own cache.
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    let dir = dir.display();
    format!(
        r#"{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {dir}/nginx.pid;
error_log {dir}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_buffer_size 128k;
  client_max_body_size 64m;
  client_body_in_single_buffer on;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  proxy_cache_path {dir}/cache keys_zone=answers:8m use_temp_path=off;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  upstream provider {{
    server {upstream};
    keepalive 64;
    keepalive_requests 100000000;
  }}
  server {{
    listen {plain} backlog=4096;
    location / {{
      proxy_pass http://provider;
      proxy_buffering off;
    }}
  }}
  server {{
    listen {caching} backlog=4096;
    location / {{
      proxy_pass http://provider;
      proxy_cache answers;
      proxy_cache_methods GET POST;
      proxy_cache_key "$uri $http_authorization $request_body";
      proxy_cache_valid 200 10m;
    }}
  }}
}}
"#
    )
}
