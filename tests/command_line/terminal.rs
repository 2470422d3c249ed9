//! What is shown on a terminal, and what elsewhere: colours, and who may ask for them.

use nix::pty::openpty;
use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

/// Begins a colour, or whatever else a terminal does not show as text.
const ESCAPE: char = '\u{1b}';

fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.args(arguments).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8").env("TERM", "xterm");
    for name in ["NO_COLOR", "NO_GRAPHICS", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    command
}

/// Runs tenantry on a terminal, and returns what stands there.
fn on_a_terminal(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let terminal = openpty(None, None).unwrap();
    let mut command = command(arguments, environment);
    command.stdout(terminal.slave.try_clone().unwrap()).stderr(terminal.slave);
    let mut child = command.spawn().unwrap();
    // It holds the terminal's other end open.
    drop(command);
    let (mut screen, mut bytes, mut part) = (File::from(terminal.master), Vec::new(), [0; 4096]);
    // Linux answers EIO when nobody has the other end any more.
    while let Ok(read @ 1..) = screen.read(&mut part) {
        bytes.extend_from_slice(&part[..read]);
    }
    child.wait().unwrap();
    String::from_utf8(bytes).unwrap()
}

fn elsewhere(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = command(arguments, environment).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// An error of ours, one of the command line, and a help text.
const SAID: [(&[&str], &str); 3] = [
    (&["plan", "nosuch.yaml"], "nosuch.yaml"),
    (&["plan", "--nosuch"], "unexpected argument"),
    (&["--help"], "Usage:"),
];

#[test]
fn colours_are_for_terminals_and_for_who_wants_them() {
    for (arguments, part) in SAID {
        for (environment, coloured) in [
            (&[][..], true),
            (&[("NO_COLOR", "1")], false),
            // The convention is a value, and not an empty one.
            (&[("NO_COLOR", "")], true),
            (&[("CLICOLOR", "1")], true),
            (&[("CLICOLOR", "0")], false),
            (&[("TERM", "dumb")], false),
            (&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false),
        ] {
            let shown = on_a_terminal(arguments, environment);
            assert!(shown.contains(part), "{arguments:?} {environment:?}: {shown:?}");
            assert_eq!(shown.contains(ESCAPE), coloured, "{arguments:?} {environment:?}: {shown:?}");
        }
        for (environment, coloured) in [
            (&[][..], false),
            (&[("CLICOLOR", "1")], false),
            (&[("CLICOLOR_FORCE", "1")], true),
            (&[("CLICOLOR_FORCE", "")], false),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        ] {
            let shown = elsewhere(arguments, environment);
            assert!(shown.contains(part), "{arguments:?} {environment:?}: {shown:?}");
            assert_eq!(shown.contains(ESCAPE), coloured, "{arguments:?} {environment:?}: {shown:?}");
        }
    }
}

#[test]
fn events_for_machines_have_no_colour_anywhere() {
    let arguments = ["plan", "nosuch.yaml", "--log-format", "json"];
    for shown in [on_a_terminal(&arguments, &[]), elsewhere(&arguments, &[("CLICOLOR_FORCE", "1")])] {
        assert!(shown.contains("nosuch.yaml") && !shown.contains(ESCAPE), "{shown:?}");
    }
}
