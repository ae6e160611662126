//! A real web server in front of a published directory.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::{Duration, Instant},
};

use super::*;

struct Nginx {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Nginx {
    fn start(root: &std::path::Path, links: bool) -> Option<Self> {
        if Command::new("nginx").arg("-v").output().is_err() {
            assert!(std::env::var_os("CHANTAL_REQUIRE_CLIENTS").is_none(), "nginx is required");
            println!("skipped: no nginx");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (here, root) = (dir.path().display(), root.display());
        let links = if links { "off" } else { "on" };
        let conf = format!(
            "daemon off; master_process off; pid {here}/pid; error_log {here}/error.log;
             events {{}}
             http {{ access_log off; client_body_temp_path {here}/1; proxy_temp_path {here}/2;
                     fastcgi_temp_path {here}/3; uwsgi_temp_path {here}/4; scgi_temp_path {here}/5;
                     disable_symlinks {links};
                     server {{ listen 127.0.0.1:{port}; root {root}; }} }}"
        );
        let path = dir.path().join("nginx.conf");
        fs::write(&path, conf).unwrap();
        let child = Command::new("nginx").arg("-c").arg(&path).spawn().unwrap();
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "nginx does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { child, port, _dir: dir })
    }

    /// Asks for a path, as a client does that holds `etag`; returns status, ETag and body.
    fn get(&self, path: &str, etag: Option<&str>) -> (u16, String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let known = etag.map_or_else(String::new, |e| format!("If-None-Match: {e}\r\n"));
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{known}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let etag = head.lines().find_map(|l| l.strip_prefix("ETag: ")).unwrap_or_default();
        (status, etag.to_owned(), body.to_owned())
    }
}
impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_web_server_notices_the_switch_and_nothing_else() {
    for switch in [Switch::Symlink, Switch::Exchange] {
        let mut world = World::new();
        world.settings.switch = switch;
        world.state("bookworm", ONE);
        world.publish(&["bookworm"]).unwrap();
        // World-readable, whatever the temporary directory itself is.
        fs::set_permissions(world.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let Some(nginx) = Nginx::start(world.root(), switch == Switch::Symlink) else { return };
        let (index, same) = ("/bookworm/dists/s/main/Packages", "/bookworm/dists/s/main/Sources");
        let mut tag = String::new();
        // The same second, the same size: only a later time tells them apart.
        for (turn, (state, text)) in
            [(ONE, "packages 1"), (TWO, "packages 2"), (ONE, "packages 1"), (TWO, "packages 2")]
                .into_iter()
                .enumerate()
        {
            let unchanged = nginx.get(same, None).1;
            world.state("bookworm", state);
            world.publish(&["bookworm"]).unwrap();
            let (status, etag, body) = nginx.get(index, Some(&tag));
            assert_eq!((status, body.as_str()), (200, text), "{switch:?} turn {turn}");
            assert_ne!(etag, tag);
            tag = etag;
            assert_eq!(nginx.get(index, Some(&tag)).0, 304);
            assert_eq!(nginx.get(same, Some(&unchanged)).0, 304, "{switch:?} turn {turn}");
        }
        assert_eq!(nginx.get("/bookworm/", None).0, 200);
        assert_eq!(nginx.get("/", None).0, 200);
    }
}
