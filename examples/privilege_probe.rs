//! Gives up its privileges as a live run does, then tries what is asked of it: the tests look at
//! what comes of it (`tests/privilege.rs`), and `strace -f` shows which calls a run needs.
//!
//! `privilege_probe [--user NAME] [--no-seccomp] [--write DIR] [--read PATH] WHAT [ARGUMENT]`
#![allow(clippy::print_stdout)]

use std::ffi::OsString;
use std::io::{IsTerminal, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{env, fs, io, thread};

use anyhow::{Context as _, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::{Pid, Uid, chroot, setuid};
use ottometer::privilege;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut options = privilege::Options::default();
    let mut arguments = env::args().skip(1);
    let mut value = || arguments.next().unwrap_or_default();
    let what = loop {
        match value().as_str() {
            "--user" => options.user = Some(value()),
            "--no-seccomp" => options.seccomp = false,
            "--write" => options.writes.push(PathBuf::from(value())),
            "--read" => options.reads.push(PathBuf::from(value())),
            what => break what.to_owned(),
        }
    };
    let argument = value();
    if what == "check-capture" {
        let arguments = ["live", "-i", "my interface"].map(OsString::from);
        privilege::check_capture(&arguments)?;
        println!("may capture");
        return Ok(());
    }
    if what == "thread" {
        thread::spawn(|| thread::sleep(Duration::from_secs(60)));
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let report = privilege::drop(&options)?;
    println!("{report}");
    try_to(&what, Path::new(&argument), listener)?;
    println!("{what}: done");
    Ok(())
}

fn try_to(what: &str, path: &Path, listener: TcpListener) -> anyhow::Result<()> {
    match what {
        "nothing" => {}
        "status" => print!("{}", fs::read_to_string("/proc/self/status")?),
        "thread-status" => {
            let read = || fs::read_to_string("/proc/thread-self/status");
            let text = thread::spawn(read).join().ok().context("the thread")??;
            print!("{text}");
        }
        "limits" => print!("{}", fs::read_to_string("/proc/self/limits")?),
        "read" => drop(fs::read(path)?),
        "write" => fs::write(path, "x")?,
        "spawn" => drop(Command::new("/bin/true").status()?),
        "exec" => return Err(Command::new("/bin/true").exec().into()),
        "setuid" => setuid(Uid::from_raw(0))?,
        "mount" => mount(
            Some("tmpfs"),
            "/mnt",
            Some("tmpfs"),
            MsFlags::empty(),
            None::<&str>,
        )?,
        "chroot" => chroot("/")?,
        "unshare" => unshare(CloneFlags::CLONE_NEWUSER)?,
        "ptrace" => nix::sys::ptrace::attach(Pid::from_raw(1))?,
        "kill" => nix::sys::signal::kill(nix::unistd::getppid(), None)?,
        "local-socket" => drop(socket(
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::empty(),
            None,
        )?),
        "connect" => drop(std::net::TcpStream::connect(listener.local_addr()?)?),
        "core-limit" => nix::sys::resource::setrlimit(
            nix::sys::resource::Resource::RLIMIT_CORE,
            u64::MAX,
            u64::MAX,
        )?,
        "dumpable" => nix::sys::prctl::set_dumpable(true)?,
        "panic" => thread::spawn(|| expect_number("no number"))
            .join()
            .map_err(|_| anyhow::anyhow!("a thread panicked"))?,
        "abort" => std::process::abort(),
        "capture" => capture(&path.to_string_lossy())?,
        "files" => files(path)?,
        "watch" => watch(path)?,
        "signals" => signals()?,
        "serve" => serve(listener)?,
        "terminal" => terminal()?,
        other => anyhow::bail!("no such trial: {other}"),
    }
    Ok(())
}

/// The panic is the trial.
fn expect_number(text: &str) {
    let parsed: Result<u32, _> = text.parse();
    println!("{}", parsed.expect("a number"));
}

/// Opens and closes a capture as after an interface came back, twice, and lists interfaces.
fn capture(interface: &str) -> anyhow::Result<()> {
    for name in [interface, "any"] {
        for promiscuous in [true, false] {
            let mut capture = pcap::Capture::from_device(name)?
                .promisc(promiscuous)
                .snaplen(65_535)
                .buffer_size(4 << 20)
                .timeout(100)
                .open()?
                .setnonblock()?;
            capture.filter("udp or tcp port 80", true)?;
            let _ = capture.next_packet();
            let stats = capture.stats()?;
            println!("{name}: {} received", stats.received);
        }
    }
    ensure!(!pcap::Device::list()?.is_empty(), "libpcap lists nothing");
    ensure!(
        pnet_datalink::interfaces()
            .iter()
            .any(|known| known.name == interface),
        "{interface} is not listed"
    );
    Ok(())
}

/// What records go through: written, synced, rotated, compressed in a thread, pruned.
fn files(folder: &Path) -> anyhow::Result<()> {
    let (sender, receiver) = crossbeam::channel::bounded::<PathBuf>(1);
    let compress = thread::Builder::new()
        .name("compress".into())
        .spawn(move || {
            for path in receiver {
                let mut plain = fs::File::open(&path)?;
                let packed = fs::File::create(path.with_extension("gz"))?;
                let mut gzip = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
                io::copy(&mut plain, &mut gzip)?;
                gzip.finish()?.sync_all()?;
                let packed = fs::File::create(path.with_extension("zst"))?;
                zstd::stream::copy_encode(fs::File::open(&path)?, packed, 3)?;
                fs::remove_file(path)?;
            }
            io::Result::Ok(())
        })?;
    fs::create_dir_all(folder.join("records"))?;
    let current = folder.join("records/flows.json");
    for number in 0..3 {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&current)?;
        file.write_all(b"{}\n")?;
        file.sync_data()?;
        file.set_len(3)?;
        let rotated = current.with_extension(number.to_string());
        fs::rename(&current, &rotated)?;
        fs::File::open(folder)?.sync_all()?;
        sender.send(rotated)?;
    }
    drop(sender);
    compress.join().ok().context("the compressor")??;
    let copy = folder.join("copy");
    for entry in fs::read_dir(folder.join("records"))? {
        fs::copy(entry?.path(), &copy)?;
    }
    ensure!(copy.canonicalize()?.metadata()?.len() > 0);
    fs::remove_dir_all(folder.join("records"))?;
    Ok(())
}

/// Waits for word of a changed file, as `--watch` does.
fn watch(folder: &Path) -> anyhow::Result<()> {
    use notify::Watcher as _;
    let (sender, receiver) = crossbeam::channel::unbounded();
    let mut watcher = notify::recommended_watcher(move |event| drop(sender.send(event)))?;
    watcher.watch(folder, notify::RecursiveMode::Recursive)?;
    fs::write(folder.join("changed.toml"), "x")?;
    let event = receiver.recv_timeout(Duration::from_secs(10))??;
    println!("{:?}", event.kind);
    watcher.unwatch(folder)?;
    Ok(())
}

fn signals() -> anyhow::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGHUP])?;
    signal_hook::low_level::raise(signal_hook::consts::SIGHUP)?;
    let seen = signals.forever().next();
    ensure!(seen == Some(signal_hook::consts::SIGHUP));
    signals.handle().close();
    Ok(())
}

/// Answers one client over HTTP, logs it, and ends. The port is printed.
fn serve(listener: TcpListener) -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // One bound as root, one after a reload named another address.
    for listener in [listener, TcpListener::bind("[::1]:0")?] {
        listener.set_nonblocking(true)?;
        runtime.block_on(async {
            let (done, mut asked) = tokio::sync::mpsc::channel::<()>(1);
            let routes = axum::Router::new().route(
                "/metrics",
                axum::routing::get(async move || {
                    let _ = done.send(()).await;
                    "answered\n"
                }),
            );
            println!("listening on {}", listener.local_addr()?);
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tracing::info!("listening");
            axum::serve(listener, routes)
                .with_graceful_shutdown(async move {
                    let timeout = Duration::from_secs(20);
                    let _ = tokio::time::timeout(timeout, asked.recv()).await;
                })
                .await
        })?;
    }
    Ok(())
}

/// Takes the terminal and leaves it as it was.
fn terminal() -> anyhow::Result<()> {
    ensure!(io::stdout().is_terminal(), "standard output is no terminal");
    let mut terminal = ratatui::try_init()?;
    terminal.draw(|frame| frame.render_widget("drawn", frame.area()))?;
    let pressed = ratatui::crossterm::event::poll(Duration::from_millis(50));
    ratatui::try_restore()?;
    println!("pressed: {}", pressed?);
    let mut rest = Vec::new();
    if !io::stdin().is_terminal() {
        io::stdin().read_to_end(&mut rest)?;
    }
    Ok(())
}
