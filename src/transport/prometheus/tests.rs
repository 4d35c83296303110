//! Against the real Prometheus where it is installed, and against a server that answers what it is told.

mod answers;
mod bodies;
mod real;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::client::Limits;
use super::write::TimeSeries;
use super::*;
use crate::model::id::Secret;
use crate::model::past::metrics::Labels;

/// It must never be seen in an error.
const SECRET: &str = "c0ffee-5ec4e7";

fn secret() -> Secret {
    Secret::new(SECRET.to_owned())
}

fn open() -> Access {
    Access { auth: Auth::None, ca_pem: None }
}

fn basic(password: &str) -> Access {
    let password = Secret::new(password.to_owned());
    Access { auth: Auth::Basic { username: "ecobox".to_owned(), password }, ca_pem: None }
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap()
}

fn labels(pairs: &[(&'static str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn series<'a>(name: &'a str, labels: &'a Labels, samples: &'a [(Timestamp, f64)]) -> TimeSeries<'a> {
    TimeSeries { name, labels, samples: samples.into() }
}

/// A server on 127.0.0.1 that gives one answer to each request, and keeps what it was asked. It ends with the test.
struct Told {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Told {
    /// `answer` is all of the answer; an empty one closes the connection, and `None` never comes.
    async fn start(answer: Option<String>) -> Told {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = request(&mut stream).await;
                kept.lock().unwrap().push(request);
                match &answer {
                    Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                    None => std::future::pending().await,
                }
            }
        });
        Told { port, asked }
    }

    async fn http(status: &str, kind: &str, body: &str) -> Told {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close");
        Told::start(Some(format!("{head}\r\nLocation: http://127.0.0.1:1/\r\n\r\n{body}"))).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The only request, head and body.
    fn asked(&self) -> String {
        let asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }
}

/// One request with its body.
async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            // The body here is text.
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return String::from_utf8_lossy(&bytes).into_owned();
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
    }
}

/// For servers that say nothing: what others say may take longer on a busy machine.
fn quick() -> Limits {
    Limits { patience: Duration::from_millis(300), ..Limits::default() }
}
