//! Scripts on this machine itself, as on any other but without SSH.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::model::id::Secret;
use crate::model::text::quoted;
use crate::transport::Error;
use crate::transport::child::{self, Unfinished};
use crate::transport::held_script::{Begin, Begun, HERE, Held, SIGN};
use crate::transport::script::{Framed, Outputs, ScriptOutput, overdue};

/// How this machine is called in messages.
const PEER: &str = "this machine";

/// A secret is a line; more is some other output.
const LONGEST_SECRET: u64 = 64 << 10;

/// Runs a POSIX sh script here, with the same framing and limits as over SSH.
///
/// Errors: `Local` if no shell starts, `Protocol` if the output is too long or cut off, `Timeout` at the deadline (the
/// shell is killed then, with what it started).
pub(crate) async fn run_script(script: &str, deadline: Duration) -> Result<ScriptOutput, Error> {
    run(&mut child::command("sh"), script, deadline).await
}

/// What the command prints that the configuration has under `key`: a secret, so it is kept nowhere else.
///
/// Errors: `Local` if it does not start or fails, `Timeout` at the deadline.
pub(crate) async fn secret(key: &str, command: &[String], deadline: Duration) -> Result<Secret, Error> {
    let failed = |detail: String| Error::Local { peer: PEER.to_owned(), detail };
    let Some((program, arguments)) = command.split_first() else { return Err(failed("an empty command".to_owned())) };
    let mut process = child::command(program);
    process.args(arguments).stderr(Stdio::inherit());
    let output =
        child::output(&mut process, deadline, LONGEST_SECRET).await.map_err(|unfinished| match unfinished {
            Unfinished::System(error) => failed(format!("{key} `{program}` does not start: {error}")),
            Unfinished::Late => late(key, program, deadline),
            Unfinished::TooMuch => failed(format!("{key} `{program}` prints more than {} KiB", LONGEST_SECRET >> 10)),
        })?;
    if !output.status.success() {
        return Err(failed(format!("{key} `{program}` failed ({})", output.status)));
    }
    String::from_utf8(output.stdout).map(Secret::new).map_err(|_| failed(format!("{key} printed no text")))
}

/// A meter prints a number.
const LONGEST_NUMBER: u64 = 4 << 10;

/// What a command of the user's own prints that asks a meter.
///
/// # Errors
/// Why there is nothing: it does not start, fails, or has not ended by then.
pub(crate) async fn ask_meter(command: &[String], deadline: Duration) -> Result<String, String> {
    let (program, arguments) = command.split_first().ok_or("it is empty")?;
    let mut process = child::command(program);
    process.args(arguments).stderr(Stdio::piped());
    let output = match child::output(&mut process, deadline, LONGEST_NUMBER).await {
        Ok(output) => output,
        Err(Unfinished::System(error)) => return Err(format!("{} does not start: {error}", quoted(program))),
        Err(Unfinished::Late) => return Err(format!("it did not end within {:.1} s", deadline.as_secs_f32())),
        Err(Unfinished::TooMuch) => return Err(format!("it printed more than {} KiB", LONGEST_NUMBER >> 10)),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().map(str::trim).rfind(|line| !line.is_empty());
        let said = said.map(|line| format!(": {}", quoted(line))).unwrap_or_default();
        return Err(format!("it failed ({}){said}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| "it printed no text".to_owned())
}

fn late(key: &str, program: &str, after: Duration) -> Error {
    Error::Local { peer: PEER.to_owned(), detail: format!("{key} `{program}` did not end within {after:?}") }
}

/// Who runs this: whoever called sudo, else the login name, else the number of the user.
pub(crate) fn user() -> String {
    let named = ["SUDO_USER", "LOGNAME", "USER"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// This machine's own name.
pub(crate) fn hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Runs a script here that goes on until its input ends; see [`ssh::Session::hold`](crate::transport::ssh::Session::hold).
///
/// # Errors
/// `Local` if no shell starts, `Timeout` if it has not begun by then.
pub(crate) async fn hold(script: &str, deadline: Duration) -> Result<Result<Held, String>, Error> {
    let failed = |e: std::io::Error| Error::Local { peer: PEER.to_owned(), detail: format!("cannot run sh: {e}") };
    let mut begin = Begin::new(script);
    let mut command = child::command("sh");
    // Ctrl-C is not meant for it.
    command.args(["-s", "held"]).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let (mut process, family) = child::spawn(&mut command).map_err(failed)?;
    let (Some(mut stdin), Some(mut stdout)) = (process.stdin.take(), process.stdout.take()) else {
        return Err(Error::Local { peer: PEER.to_owned(), detail: "sh has no pipes".to_owned() });
    };
    let started = tokio::time::timeout(deadline, async {
        stdin.write_all(begin.stdin()).await?;
        let mut out = vec![0; 4 << 10];
        loop {
            let length = stdout.read(&mut out).await?;
            match begin.hear(out.get(..length).unwrap_or_default()) {
                Some(Begun::Runs) => return Ok(true),
                None if length > 0 => {}
                Some(Begun::Over) | None => return Ok(false),
            }
        }
    });
    let late = |_| Error::Timeout { peer: PEER.to_owned(), doing: "running a script", after: deadline };
    if !started.await.map_err(late)?.map_err(failed)? {
        return Ok(Err(begin.words()));
    }
    Ok(Ok(Held::new(|mut stopped| {
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = &mut stopped => break,
                    () = tokio::time::sleep(SIGN) => if stdin.write_all(HERE).await.is_err() { break },
                    _ = process.wait() => break,
                }
            }
            drop(stdin);
            let _ = process.wait().await;
            family.ended();
        })
    })))
}

async fn run(command: &mut Command, script: &str, deadline: Duration) -> Result<ScriptOutput, Error> {
    let begun = Instant::now();
    let framed = Framed::new(script);
    let unusable = |detail: String| Error::Protocol { peer: PEER.to_owned(), detail };
    let mut outputs = Outputs::default();
    let result = tokio::time::timeout(deadline, converse(command, &framed, &mut outputs)).await;
    tracing::debug!(server = PEER, ms = begun.elapsed().as_millis(), "script ended");
    let status = result.map_err(|_| overdue(PEER, deadline, &outputs.stderr))??;
    framed.parse(&outputs.stdout, &outputs.stderr, status).map_err(unusable)
}

/// Starts the shell, feeds it and collects what it says, until it has ended.
async fn converse(command: &mut Command, framed: &Framed, outputs: &mut Outputs) -> Result<Option<i32>, Error> {
    let failed = |what: &str, e: &std::io::Error| Error::Local {
        peer: PEER.to_owned(),
        detail: format!("cannot {what} sh: {e}"),
    };
    let command = command.arg("-s");
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Dropped before the child where the deadline cuts this off.
    let (mut child, family) = child::spawn(command).map_err(|e| failed("start", &e))?;
    let (Some(mut stdin), Some(mut stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Error::Local { peer: PEER.to_owned(), detail: "sh has no pipes".to_owned() });
    };
    let feed = async move {
        // A shell that ends early closes its stdin; what it said tells more than the broken pipe.
        let _ = stdin.write_all(framed.stdin().as_bytes()).await;
        Ok(())
    };
    let collect = async {
        let (mut out, mut err) = (vec![0; 16 << 10], vec![0; 4 << 10]);
        let (mut out_open, mut err_open) = (true, true);
        while (out_open || err_open) && !framed.complete(&outputs.stdout, &outputs.stderr) {
            let kept = tokio::select! {
                read = stdout.read(&mut out), if out_open => {
                    let length = read.map_err(|e| failed("read from", &e))?;
                    out_open = length > 0;
                    outputs.stdout(out.get(..length).unwrap_or_default())
                }
                read = stderr.read(&mut err), if err_open => {
                    let length = read.map_err(|e| failed("read from", &e))?;
                    err_open = length > 0;
                    outputs.stderr(err.get(..length).unwrap_or_default())
                }
            };
            kept.map_err(|detail| Error::Protocol { peer: PEER.to_owned(), detail })?;
        }
        Ok(())
    };
    tokio::try_join!(feed, collect)?;
    // After the end marks the shell only exits; a script's background job may keep the pipes open, but not the shell.
    let status = child.wait().await.map_err(|e| failed("wait for", &e))?;
    family.ended();
    Ok(status.code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::script::{STDOUT_CAP, quote};

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn scripts_run_here_as_elsewhere() {
        let output = run_script("echo \"$LC_ALL\"; cat; echo oops >&2; exit 3", SOON).await.unwrap();
        assert_eq!(output, ScriptOutput { stdout: "C\n".to_owned(), stderr: "oops\n".to_owned(), status: 3 });
        // Longer than the pipes are.
        let long = "x".repeat(200_000);
        let output = run_script(&format!("printf %s {}", quote(&long).unwrap()), SOON).await.unwrap();
        assert_eq!(output.stdout.len(), long.len());
    }

    #[tokio::test]
    async fn limits_hold() {
        let fits = format!("head -c {} /dev/zero", STDOUT_CAP - 200);
        assert_eq!(run_script(&fits, SOON).await.unwrap().stdout.len(), STDOUT_CAP - 200);
        let error = run_script("cat /dev/zero", SOON).await.unwrap_err();
        assert_eq!(error.to_string(), "this machine sent an unusable answer: more than 1024 KiB on stdout");
        let error = run_script("sleep 20", Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        let script = "echo 'waiting for sudo' >&2; sleep 20";
        let error = run_script(script, Duration::from_millis(500)).await.unwrap_err();
        assert_eq!(error.to_string(), "this machine did not answer within 0.5 s (waiting for sudo there)");
        // A background job keeps the pipes open, but not us.
        let output = run_script("sleep 1000 & echo $!", SOON).await.unwrap();
        run_script(&format!("kill {}", output.stdout), SOON).await.unwrap();
    }

    #[tokio::test]
    async fn a_shell_that_is_none_is_told() {
        let error = run(&mut child::command("/nowhere/sh"), "true", SOON).await.unwrap_err();
        assert!(matches!(error, Error::Local { .. }), "{error}");
        let error = run(&mut child::command("false"), "true", SOON).await.unwrap_err();
        assert!(error.to_string().ends_with("no shell ran the script, and nothing was said, exit status 1"), "{error}");
    }
}
