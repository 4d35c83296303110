//! `check` run by real monitors, as docs/monitoring.md shows it: Nagios and Icinga from Debian, and Checkmk's agent's way.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ecobox_sim::Sim;

use super::env::{Env, skipped};
use super::fleets::{CLOSED, Open, env_for, plain, three};
use super::world::until_within;

const PATIENCE: Duration = Duration::from_secs(60);

/// A fleet of which one service does not answer, and one guest works hard.
fn fleet() -> (Sim, Open, Env) {
    let (sim, nas) = (three(), Open::new());
    sim.cluster().change_guest(101, |vm| vm.load(0.97, 1 << 30));
    let env = env_for(&sim, &["pve1", "pve2", "pve3"]);
    let service = format!("[[servers.services]]\nname = \"smb\"\nport = {CLOSED}\ntype = \"smb\"\n");
    env.add_config(&(plain("nas", nas.port()) + &service));
    (sim, nas, env)
}

/// The block of docs/monitoring.md of this language that begins with `start`.
fn documented(start: &str) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring.md")).unwrap();
    let blocks = text.split("\n```").collect::<Vec<_>>();
    let block = blocks.iter().find_map(|block| {
        let (_, body) = block.split_once('\n')?;
        body.starts_with(start).then(|| body.to_owned())
    });
    block.unwrap_or_else(|| panic!("docs/monitoring.md has no block that begins with `{start}`"))
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let (sender, receiver) = std::sync::mpsc::channel();
        let ended = std::thread::scope(|scope| {
            scope.spawn(|| sender.send(self.0.wait()));
            let ended = receiver.recv_timeout(Duration::from_secs(10)).is_ok();
            if !ended {
                let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
            }
            ended
        });
        assert!(ended || std::thread::panicking(), "the monitor does not end");
    }
}

/// Where a program of this name is, whatever the search path of this user.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skipped(&format!("{name} is not installed: nobody has seen it run `ecobox check`"));
    }
    found
}

/// Starts a program in the world of `env`, with its variables.
fn start(env: &Env, program: &Path, args: &[&str], log: &Path) -> Running {
    let template = env.command(&[]);
    let log = std::fs::File::create(log).unwrap();
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Running(command.spawn().unwrap())
}

#[test]
fn nagios_sees_three_commands_in_their_states() {
    let Some(nagios) = program("nagios4") else { return };
    let (_sim, _nas, env) = fleet();
    let _ = env.run(&["status"]).exits(0);
    let folder = env.home().join("nagios");
    std::fs::create_dir_all(folder.join("results")).unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    let ids = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let main = format!(
        "log_file={log}\ncfg_file={objects}\nobject_cache_file={cache}\nprecached_object_file={cache}.pre\n\
         status_file={status}\nstatus_update_interval=1\ntemp_file={temp}\ntemp_path={dir}\nlock_file={lock}\n\
         check_result_path={results}\nquery_socket={socket}\ncommand_file={command}\ncheck_external_commands=0\n\
         retain_state_information=0\nstate_retention_file={retention}\nuse_syslog=0\ninterval_length=1\n\
         check_for_updates=0\nenable_notifications=0\nexecute_host_checks=0\nservice_inter_check_delay_method=n\n\
         nagios_user={uid}\nnagios_group={gid}\n",
        log = at("nagios.log"),
        objects = at("objects.cfg"),
        cache = at("objects.cache"),
        status = at("status.dat"),
        temp = at("nagios.tmp"),
        dir = folder.display(),
        lock = at("nagios.lock"),
        results = at("results"),
        socket = at("nagios.qh"),
        command = at("nagios.cmd"),
        retention = at("retention.dat"),
        uid = ids.0,
        gid = ids.1,
    );
    std::fs::write(folder.join("nagios.cfg"), main).unwrap();
    let commands = documented("define command").replace("/usr/bin/ecobox", env!("CARGO_BIN_EXE_ecobox"));
    let mut objects = commands + "\n";
    objects.push_str(
        "define command {\n command_name nothing\n command_line /bin/true\n}\n\
         define contact {\n contact_name nobody\n host_notifications_enabled 0\n service_notifications_enabled 0\n \
         host_notification_period 24x7\n service_notification_period 24x7\n host_notification_options n\n \
         service_notification_options n\n host_notification_commands nothing\n \
         service_notification_commands nothing\n}\n\
         define timeperiod {\n timeperiod_name 24x7\n alias always\n monday 00:00-24:00\n tuesday 00:00-24:00\n \
         wednesday 00:00-24:00\n thursday 00:00-24:00\n friday 00:00-24:00\n saturday 00:00-24:00\n \
         sunday 00:00-24:00\n}\n\
         define host {\n host_name fleet\n address 127.0.0.1\n max_check_attempts 1\n check_period 24x7\n}\n",
    );
    for (name, command) in [
        ("web", "ecobox!web-02"),
        ("cpu", "ecobox_conditions!web-01!'cpu>80'!'cpu>99'"),
        ("service", "ecobox_service!nas!smb"),
    ] {
        let _ = write!(
            objects,
            "define service {{\n host_name fleet\n service_description {name}\n check_command {command}\n \
             max_check_attempts 1\n check_interval 5\n retry_interval 5\n check_period 24x7\n}}\n"
        );
    }
    std::fs::write(folder.join("objects.cfg"), objects).unwrap();
    let verified = Command::new(&nagios).arg("-v").arg(folder.join("nagios.cfg")).output().unwrap();
    let text = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{text}");
    let _running = start(&env, &nagios, &[&at("nagios.cfg")], &folder.join("out"));
    let read = || std::fs::read_to_string(folder.join("status.dat")).unwrap_or_default();
    // A line `key=value` of the block of a service.
    let of = |status: &str, service: &str, key: &str| {
        let block = status
            .split("servicestatus {")
            .find(|block| block.contains(&format!("service_description={service}\n")))?;
        let line = block.lines().find_map(|line| line.trim().strip_prefix(&format!("{key}=")))?;
        Some(line.to_owned())
    };
    let checked = || {
        let status = read();
        ["web", "cpu", "service"].iter().all(|name| of(&status, name, "has_been_checked").as_deref() == Some("1"))
    };
    if !until_within(PATIENCE, checked) {
        let log = std::fs::read_to_string(folder.join("nagios.log")).unwrap_or_default();
        panic!("not all services were checked\n{}\n{log}", read());
    }
    let status = read();
    let state = |name: &str| (of(&status, name, "current_state"), of(&status, name, "plugin_output"));
    let (web, cpu, service) = (state("web"), state("cpu"), state("service"));
    assert_eq!(
        (web.0.as_deref(), cpu.0.as_deref(), service.0.as_deref()),
        (Some("0"), Some("1"), Some("2")),
        "{status}"
    );
    assert_eq!(web.1.as_deref(), Some("ECOBOX OK - 1 server as expected"));
    assert_eq!(cpu.1.as_deref(), Some("ECOBOX WARNING - web-01: cpu 97% (above 80%)"));
    assert!(service.1.is_some_and(|text| text.starts_with("ECOBOX CRITICAL - nas: smb (port 1) does not answer")));
    let perf = of(&status, "cpu", "performance_data").unwrap();
    assert_eq!(perf, "'pve1-vm-101_cpu'=97%;80;99;0;100");
}

#[test]
fn icinga_sees_the_check_command() {
    let Some(icinga) = program("icinga2") else { return };
    let (_sim, _nas, env) = fleet();
    let _ = env.run(&["status"]).exits(0);
    let folder = env.home().join("icinga");
    std::fs::create_dir_all(folder.join("data")).unwrap();
    let command = documented("object CheckCommand").replace("/usr/bin/ecobox", env!("CARGO_BIN_EXE_ecobox"));
    let status = folder.join("perf");
    let config = format!(
        "include <itl>\nobject Endpoint NodeName {{ }}\nobject Zone ZoneName {{ endpoints = [ NodeName ] }}\n\
         object CheckerComponent \"checker\" {{ }}\n\
         object PerfdataWriter \"perf\" {{\n host_perfdata_path = \"{host}\"\n service_perfdata_path = \"{service}\"\n \
         host_temp_path = \"{host}.tmp\"\n service_temp_path = \"{service}.tmp\"\n rotation_interval = 1s\n \
         service_format_template = \"$service.name$ $service.state$ $service.output$ # $service.perfdata$\"\n}}\n\
         {command}\n\
         object Host \"fleet\" {{ check_command = \"dummy\" }}\n\
         object Service \"cpu\" {{\n host_name = \"fleet\"\n check_command = \"ecobox\"\n check_interval = 5s\n \
         vars.ecobox_target = \"web-01\"\n vars.ecobox_warn = [ \"cpu>80\" ]\n vars.ecobox_crit = [ \"cpu>99\" ]\n}}\n\
         object Service \"smb\" {{\n host_name = \"fleet\"\n check_command = \"ecobox\"\n check_interval = 5s\n \
         vars.ecobox_target = [ \"nas\" ]\n vars.ecobox_service = \"smb\"\n}}\n\
         object Service \"cached\" {{\n host_name = \"fleet\"\n check_command = \"ecobox\"\n check_interval = 5s\n \
         vars.ecobox_target = \"web-02\"\n vars.ecobox_cached = true\n vars.ecobox_max_age = \"1h\"\n}}\n",
        host = folder.join("host").display(),
        service = status.display(),
    );
    std::fs::write(folder.join("icinga.conf"), config).unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    let (conf, data) = (at("icinga.conf"), at("data"));
    let define = |name: &str, value: &str| ["-D".to_owned(), format!("{name}={value}")];
    let defines: Vec<String> = [
        define("Configuration.RunAsUser", &user),
        define("Configuration.RunAsGroup", &user),
        define("Configuration.DataDir", &data),
        define("Configuration.LogDir", &data),
        define("Configuration.CacheDir", &data),
        define("Configuration.SpoolDir", &data),
        define("Configuration.InitRunDir", &data),
        define("Configuration.PidPath", &format!("{data}/pid")),
        define("Configuration.StatePath", &format!("{data}/state")),
        define("Configuration.ObjectsPath", &format!("{data}/objects")),
        define("Configuration.VarsPath", &format!("{data}/vars")),
        define("NodeName", "fleet"),
        define("ZoneName", "fleet"),
    ]
    .concat();
    let mut args: Vec<&str> = vec!["daemon", "-x", "notice", "-c", &conf];
    args.extend(defines.iter().map(String::as_str));
    let running = start(&env, &icinga, &args, &folder.join("out"));
    let read = || {
        let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let perf = files.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("perf")));
        perf.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect::<String>()
    };
    let line =
        |text: &str, name: &str| text.lines().find(|line| line.starts_with(&format!("{name} "))).map(str::to_owned);
    let all = || ["cpu", "smb", "cached"].iter().all(|name| line(&read(), name).is_some());
    let out = || std::fs::read_to_string(folder.join("out")).unwrap();
    assert!(until_within(PATIENCE, all), "not all services were checked\n{}\n{}", read(), out());
    let text = read();
    drop(running);
    let (cpu, smb, cached) = (line(&text, "cpu"), line(&text, "smb"), line(&text, "cached"));
    let cpu = cpu.unwrap();
    assert!(cpu.starts_with("cpu WARNING ECOBOX WARNING - web-01: cpu 97% (above 80%)"), "{text}");
    assert!(cpu.contains("pve1-vm-101_cpu=97%;80;99;0;100"), "{text}");
    assert!(smb.unwrap().starts_with("smb CRITICAL ECOBOX CRITICAL - nas: smb (port 1)"), "{text}");
    assert!(cached.unwrap().starts_with("cached OK ECOBOX OK - 1 server as expected"), "{text}");
}

/// Checkmk's agent runs the scripts in its folder for local checks, and its server splits each line so.
#[test]
fn the_local_check_for_checkmk_prints_lines_of_its_form() {
    let (_sim, _nas, env) = fleet();
    let _ = env.run(&["status"]).exits(0);
    let script = documented("#!/bin/sh").replace("/usr/bin/ecobox", env!("CARGO_BIN_EXE_ecobox"));
    let path = env.home().join("ecobox");
    std::fs::write(&path, script).unwrap();
    let run = env.paste(&format!("sh {}", path.display()));
    assert!(run.code <= 3, "{run}");
    let mut states = Vec::new();
    for line in run.stdout.lines() {
        let (state, rest) = line.split_once(' ').unwrap();
        let rest = rest.strip_prefix('"').unwrap_or_else(|| panic!("no name in quotes: {line}"));
        let (name, rest) = rest.split_once("\" ").unwrap();
        let (perf, text) = rest.split_once(' ').unwrap();
        for metric in perf.split('|').filter(|perf| *perf != "-") {
            let (label, value) = metric.split_once('=').unwrap_or_else(|| panic!("{metric} in {line}"));
            assert!(label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{label}");
            assert!(value.split(';').next().unwrap().parse::<f64>().is_ok(), "{metric}");
        }
        assert!(!text.is_empty());
        states.push((name.to_owned(), state.parse::<u8>().unwrap()));
    }
    assert_eq!(
        states,
        [("ecobox fleet".to_owned(), 2), ("ecobox backups".to_owned(), 0), ("ecobox load".to_owned(), 1)]
    );
}
