#!/usr/bin/env python3
"""What the library costs at compile time.

    python3 benches/compile.py [--quick] [derive] [app]

derive: one rustc invocation on a crate with one struct of 1, 10 and 100 fields: `#[derive(Session)]` beside
        serde's `Serialize` and `Deserialize`, each less the same crate without either. All of them load the
        same crates, so that what is left is the derives' own: the expansion and what is made of it.
app:    a clean build of a bare actix-web application, and of the same with sessions: CPU seconds of all that
        runs, the crates that come along, and how much larger the program gets.

CPU seconds are medians of interleaved runs. The instructions of a check are counted by valgrind's cachegrind,
where there is one: they repeat on a machine that others use as well (of a build it would take hours). Raw figures
go to `benches/results/compile.json`, tables in Markdown to the standard output.
"""
import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benches" / "results" / "compile.json"
# A build is measured as in a clean checkout; a wrapper of the user's would be measured along.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("CARGO_", "RUST"))}
ENVIRONMENT |= {name: os.environ[name] for name in ("CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN") if name in os.environ}
ENVIRONMENT["CARGO_INCREMENTAL"] = "0"

FIELD_TYPES = ["u64", "String", "Option<String>", "Vec<u32>", "bool", "i32", "Option<u64>", "Vec<String>", "f64", "(u32, u32)"]
NUMBERS_OF_FIELDS = [1, 10, 100]
# What rustc is asked for, after the profile of Cargo that it stands for.
PROFILES = {
    "check": ["--emit=metadata", "-C", "debuginfo=2"],
    "debug": ["--emit=metadata,link", "-C", "debuginfo=2"],
    "release": ["--emit=metadata,link", "-C", "opt-level=3"],
}

# The same crates are loaded by all, the plain struct included.
LOADED = "extern crate rmp_serde as _;\nextern crate serde as _;\nextern crate session as _;\n"
DERIVES = {
    "plain": "Debug, Default",
    "serde": "Debug, Default, serde::Serialize, serde::Deserialize",
    "session": "Debug, Default, session::Session",
}
# A struct read, one field set, and the struct written again.
USES = {
    "plain": """
pub fn once(mut visit: Visit) -> Visit {
    visit.field_0 = 7;
    visit
}
""",
    "serde": """
pub fn once(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut visit: Visit = rmp_serde::from_slice(bytes).ok()?;
    visit.field_0 = 7;
    rmp_serde::to_vec(&visit).ok()
}
""",
    "session": """
pub fn once(request: &session::Request) -> Option<()> {
    let mut visit: session::Session<Visit> = request.opened_session()?;
    visit.set_field_0(7);
    Some(())
}
""",
}

HELLO = """\
use actix_web::{App, HttpServer, Responder, web};

async fn hello() -> impl Responder {
    "hello"
}

fn main() -> std::io::Result<()> {
    actix_web::rt::System::new().block_on(
        HttpServer::new(|| App::new().route("/", web::get().to(hello)))
            .bind("127.0.0.1:8080")?
            .run(),
    )
}
"""
HELLO_WITH_SESSIONS = """\
use actix_web::{App, HttpServer, Responder, web};
use session::{FilesystemStore, Session, SessionManager, SessionMiddleware};

#[derive(Debug, Default, Session)]
struct Visit {
    #[session(rotate, owner)]
    user: Option<String>,
    views: u64,
    cart: Vec<u32>,
}

async fn hello(mut session: Session<Visit>) -> impl Responder {
    *session.views_mut() += 1;
    format!("hello {:?}: {} views, {} in the cart", session.user, session.views, session.cart.len())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sessions = SessionManager::new(FilesystemStore::open("sessions")?);
    actix_web::rt::System::new().block_on(
        HttpServer::new(move || {
            App::new()
                .wrap(SessionMiddleware::new(sessions.clone()))
                .route("/", web::get().to(hello))
        })
        .bind("127.0.0.1:8080")?
        .run(),
    )?;
    Ok(())
}
"""


def run(command, **options):
    """Runs to the end; the answer is what it printed."""
    done = subprocess.run([str(part) for part in command], env=ENVIRONMENT, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done


def timed(command, **options):
    """CPU seconds of a command and its children, and seconds on the wall."""
    before, start = cpu_of_children(), time.monotonic()
    run(command, **options)
    return cpu_of_children() - before, time.monotonic() - start


def cpu_of_children():
    """User and system together: their sum is exact, how the kernel splits it is not."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def struct(derives, number_of_fields):
    fields = [f"    pub field_{number}: {FIELD_TYPES[number % len(FIELD_TYPES)]},\n" for number in range(number_of_fields)]
    return f"#[derive({derives})]\npub struct Visit {{\n{''.join(fields)}}}\n"


def write_package(folder, name, dependencies, main=None):
    """A package of its own. It takes the versions of the library's lock file."""
    (folder / "src").mkdir(parents=True)
    (folder / "Cargo.toml").write_text(
        f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2024"\n\n[workspace]\n\n[dependencies]\n{dependencies}'
    )
    shutil.copy(ROOT / "Cargo.lock", folder / "Cargo.lock")
    (folder / "src" / ("main.rs" if main else "lib.rs")).write_text(main or LOADED)
    return folder


def session(features):
    return f'session = {{ path = "{ROOT / "session"}", default-features = false, features = {json.dumps(features)} }}\n'


class Derive:
    """One rustc invocation, its dependencies built beforehand."""

    def __init__(self, folder):
        self.folder = folder
        dependencies = session(["derive", "memory"]) + 'serde = { version = "1", features = ["derive"] }\nrmp-serde = "1.3"\n'
        package = write_package(folder / "derive", "measured", dependencies)
        self.rustc = run(["rustup", "which", "rustc"]).stdout.strip() if shutil.which("rustup") else shutil.which("rustc")
        self.libraries = {}
        for profile in ["debug", "release"]:
            build = ["cargo", "build", "-q", "--message-format=json", "--target-dir", folder / "target"]
            messages = run(build + ["--release"] * (profile == "release"), cwd=package).stdout.splitlines()
            self.libraries[profile] = [
                next(name for name in message["filenames"] if name.endswith(".rlib"))
                for message in map(json.loads, messages)
                if message.get("target", {}).get("name") in ("session", "serde", "rmp_serde")
            ]

    def command(self, profile, derive, number_of_fields, is_used):
        source = self.folder / f"{derive}_{number_of_fields}_{is_used}.rs"
        source.write_text(LOADED + struct(DERIVES[derive], number_of_fields) + USES[derive] * is_used)
        built = "release" if profile == "release" else "debug"
        command = [self.rustc, source, "--edition=2024", "--crate-name=measured", "--crate-type=lib", *PROFILES[profile]]
        command += ["--out-dir", self.folder / "out", "-L", f"dependency={self.folder / 'target' / built / 'deps'}"]
        for library in self.libraries[built]:
            name = re.match(r"lib(\w+?)(-\w+)?\.rlib", pathlib.Path(library).name).group(1)
            command += ["--extern", f"{name}={library}"]
        return command

    def instructions(self, command):
        tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        counted = re.search(r"I\s+refs:\s+([\d,]+)", run([*tool, *command]).stderr)
        return int(counted.group(1).replace(",", ""))

    def measure(self, rounds, numbers_of_fields, can_count):
        figures = []
        for number_of_fields in numbers_of_fields:
            for profile, is_used in [("check", False), ("debug", False), ("debug", True), ("release", False), ("release", True)]:
                commands = {derive: self.command(profile, derive, number_of_fields, is_used) for derive in DERIVES}
                seconds = {derive: [] for derive in DERIVES}
                for _ in range(rounds):
                    for derive, command in commands.items():
                        seconds[derive].append(timed(command)[0])
                case = {"fields": number_of_fields, "profile": profile, "is_used": is_used}
                case["seconds"] = {derive: statistics.median(times) for derive, times in seconds.items()}
                if can_count and profile == "check":
                    case["instructions"] = {derive: self.instructions(command) for derive, command in commands.items()}
                figures.append(case)
        return figures


def print_derive(figures):
    print("\n`#[derive(Session)]` beside serde's `Serialize` and `Deserialize`, each less the plain struct\n")
    print("| Fields | Profile | Used | session, M instructions | serde | Ratio | session, ms CPU | serde | Ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in figures:
        columns = [case["fields"], case["profile"], "used" if case["is_used"] else "derived only"]
        for unit, scale in [("instructions", 1e-6), ("seconds", 1e3)]:
            if unit not in case:
                columns += ["–"] * 3
                continue
            plain = case[unit]["plain"]
            ours, serdes = ((case[unit][derive] - plain) * scale for derive in ["session", "serde"])
            columns += [f"{ours:,.0f}", f"{serdes:,.0f}", f"{ours / serdes:.2f}" if serdes > 0 else "–"]
        print("| " + " | ".join(map(str, columns)) + " |")


class App:
    """A clean build of an application, dependencies and all."""

    ACTIX_WEB = {
        "no default features": 'actix-web = { version = "4.18", default-features = false }\n',
        "default features": 'actix-web = "4.18"\n',
    }

    def __init__(self, folder):
        self.target = folder / "target"
        self.packages = {}
        for kind, actix_web in self.ACTIX_WEB.items():
            name = kind.replace(" ", "-")
            ours = actix_web + session(["derive", "actix-web", "filesystem"])
            self.packages[kind] = {
                "bare": write_package(folder / f"bare-{name}", "app", actix_web, HELLO),
                "with sessions": write_package(folder / f"with-{name}", "app", ours, HELLO_WITH_SESSIONS),
            }
        for package in (package for pair in self.packages.values() for package in pair.values()):
            run(["cargo", "fetch"], cwd=package)

    def crates(self, package):
        tree = run(["cargo", "tree", "--offline", "--prefix", "none", "-e", "normal,build", "--no-dedupe"], cwd=package).stdout
        return {line.split(" (")[0] for line in tree.splitlines() if line and not line.startswith("app ")}

    def build(self, package, profile):
        """CPU seconds, seconds on the wall and, of a release, the bytes of the stripped program."""
        shutil.rmtree(self.target, ignore_errors=True)
        command = ["cargo", "build", "-q", "--offline", "-j2", "--target-dir", self.target]
        cpu, wall = timed(command + ["--release"] * (profile == "release"), cwd=package)
        size = None
        if profile == "release":
            program = self.target / "release" / "app"
            run(["strip", program])
            size = program.stat().st_size
        return {"cpu": cpu, "wall": wall, "size": size}

    def measure(self, rounds, kinds):
        figures = []
        for kind in kinds:
            packages = self.packages[kind]
            bare, ours = (self.crates(packages[name]) for name in ["bare", "with sessions"])
            for profile in ["debug", "release"]:
                builds = {name: [] for name in packages}
                for _ in range(rounds):
                    for name, package in packages.items():
                        builds[name].append(self.build(package, profile))
                case = {"actix_web": kind, "profile": profile, "crates": len(bare), "crates_added": sorted(ours - bare)}
                for figure in ["cpu", "wall", "size"]:
                    medians = {name: [build[figure] for build in made] for name, made in builds.items()}
                    case[figure] = {name: values[0] and statistics.median(values) for name, values in medians.items()}
                figures.append(case)
        return figures


def print_app(figures):
    print("\nA clean build of an actix-web application, `-j2`, and of the same with sessions\n")
    print("| actix-web | Profile | bare, s CPU | with sessions | Grows by | bare, s wall | with sessions | Grows by | Crates | Program |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for case in figures:
        columns = [case["actix_web"], case["profile"]]
        for figure in ["cpu", "wall"]:
            bare, ours = case[figure]["bare"], case[figure]["with sessions"]
            columns += [f"{bare:.1f}", f"{ours:.1f}", f"{(ours / bare - 1) * 100:.0f} %"]
        columns.append(f"{case['crates']} + {len(case['crates_added'])}")
        bare, ours = case["size"]["bare"], case["size"]["with sessions"]
        columns.append(f"{bare / 1024:,.0f} KiB + {(ours - bare) / 1024:,.0f}" if bare else "–")
        print("| " + " | ".join(columns) + " |")
    added = {crate for case in figures for crate in case["crates_added"]}
    print(f"\nCrates added: {', '.join(sorted(added))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="derive, app; both when none is given")
    parser.add_argument("--quick", action="store_true", help="one run each, fewer cases")
    arguments = parser.parse_args()
    if not set(arguments.parts) <= {"derive", "app"}:
        parser.error("the parts are derive and app")
    parts = arguments.parts or ["derive", "app"]
    figures = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory(prefix="session-compile-") as folder:
        if "derive" in parts:
            rounds, numbers_of_fields = (3, [10]) if arguments.quick else (5, NUMBERS_OF_FIELDS)
            can_count = shutil.which("valgrind") is not None and not arguments.quick
            figures["derive"] = Derive(pathlib.Path(folder) / "derive").measure(rounds, numbers_of_fields, can_count)
            print_derive(figures["derive"])
        if "app" in parts:
            kinds = list(App.ACTIX_WEB)
            rounds, kinds = (1, kinds[:1]) if arguments.quick else (3, kinds)
            figures["app"] = App(pathlib.Path(folder) / "app").measure(rounds, kinds)
            print_app(figures["app"])
    figures["rustc"] = run(["rustc", "--version"]).stdout.strip()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
