//! The figures of the servers, as a table and a plot.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::report::{Figure, host, ms, packages, plot_lines, quantile, said};
use crate::server::load::Load;
use crate::server::subject::Subject;
use crate::server::{CLOSED_LASTS, CONNECTIONS, HELD, OPEN_LASTS, Phase, RATE, ROUNDS, Round, SETTLES};

type Reading = fn(&Round) -> f64;

fn of_each(phase: &Phase, cpu: Duration) -> f64 {
    ms(cpu) / phase.load.latencies.len() as f64
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// What is reported of each round: headings, names and readings.
const FIGURES: [(&str, &[(&str, Reading)]); 3] = [
    (
        "Closed loop",
        &[
            ("callbacks a second", |round| round.closed.load.rate()),
            ("p50, ms", |round| ms(quantile(&round.closed.load.latencies, 500))),
            ("p99, ms", |round| ms(quantile(&round.closed.load.latencies, 990))),
            ("CPU a callback, ms", |round| of_each(&round.closed, round.closed.cpu)),
            ("CPU a callback of client, stub and log reader, ms", |round| of_each(&round.closed, round.closed.own_cpu)),
        ],
    ),
    (
        "Open loop",
        &[
            ("callbacks a second", |round| round.open.load.rate()),
            ("p50, ms", |round| ms(quantile(&round.open.load.latencies, 500))),
            ("p99, ms", |round| ms(quantile(&round.open.load.latencies, 990))),
            ("p99.9, ms", |round| ms(quantile(&round.open.load.latencies, 999))),
            ("CPU a callback, ms", |round| of_each(&round.open, round.open.cpu)),
            ("CPU a callback of client, stub and log reader, ms", |round| of_each(&round.open, round.open.own_cpu)),
        ],
    ),
    (
        "Memory",
        &[
            ("idle, RSS, MB", |round| mb(round.idle.resident)),
            ("idle, PSS, MB", |round| mb(round.idle.proportional)),
            ("connections open, RSS, MB", |round| mb(round.held.resident)),
            ("connections open, PSS, MB", |round| mb(round.held.proportional)),
            ("after the load, RSS, MB", |round| mb(round.after.resident)),
            ("after the load, PSS, MB", |round| mb(round.after.proportional)),
        ],
    ),
];

/// The part of the open loop's rate below which a server has not kept up.
const KEPT_UP: f64 = 0.99;
/// One callback in so many takes longer, where the plot has a point.
const ONE_IN: [usize; 9] = [2, 3, 5, 10, 20, 50, 100, 200, 1_000];

pub(super) fn write(
    output: &Path,
    benches: &Path,
    subjects: &[Subject; 2],
    rounds: &[Vec<Round>; 2],
    limit: &Load,
) -> Result<()> {
    let packages = [packages(&benches.join("peers/express"))?, packages(&benches.join("peers/node"))?].concat();
    let mut table = format!(
        "# The server under load\n\n{}, Node {} with {}.\n",
        host()?,
        said("node", "--version")?,
        packages.join(", ")
    );
    write!(table, "\n{}\n", method(limit))?;
    for (title, figures) in FIGURES {
        writeln!(table, "\n## {title}\n")?;
        writeln!(table, "| | {} | {} | ratio |\n| --- | --- | --- | --- |", subjects[0].name, subjects[1].name)?;
        for (name, reading) in figures {
            let of = |index: usize| rounds[index].iter().map(reading).collect::<Vec<f64>>();
            let [server, peer] = [of(0), of(1)].map(Figure::among);
            let ratio = Figure::among(of(0).into_iter().zip(of(1)).map(|(server, peer)| peer / server).collect());
            writeln!(
                table,
                "| {name} | {server} | {peer} | {:.2} ({:.2} to {:.2}) |",
                ratio.median, ratio.least, ratio.most
            )?;
        }
    }
    for (subject, rounds) in subjects.iter().zip(rounds) {
        let behind = rounds.iter().filter(|round| round.open.load.rate() < f64::from(RATE) * KEPT_UP).count();
        if behind > 0 {
            writeln!(
                table,
                "\n**{} did not keep up with {RATE} callbacks a second in {behind} of {ROUNDS} rounds.** Its latencies there grow with \
                 the length of the round, and their ratio says nothing.",
                subject.name
            )?;
        }
    }
    writeln!(table, "\n![The time that one callback in so many exceeds](server.svg)")?;
    fs::write(output.join("server.md"), table)?;
    plot(output, subjects, rounds)?;
    println!("The figures are in {}.", output.join("server.md").display());
    Ok(())
}

fn method(limit: &Load) -> String {
    format!(
        "Both servers verify, decode, put conditionally, write a line of log and answer. Half of the callbacks are Tencent Cloud \
         Chat's, signed; half are OpenIM's, with Basic credentials. `server` is the release binary, with a thread a core. Express runs \
         in Node's `cluster`, with a process a core and `NODE_ENV=production`. Express has it easier: it writes fewer attributes, \
         keeps no metrics, and has no limits, fallback queue or circuit breaker.\n\n\
         The client, a stub of DynamoDB and the server share this machine's cores. The stub speaks plain HTTP and takes every item \
         at once. Client and stub take their part of the processor, so neither server shows its own limit in callbacks a second; \
         the processor time of a callback depends less on what they share. Without a server between them, client and stub exchange \
         {:.0} requests a second over {CONNECTIONS} connections (p50 {:.2} ms).\n\n\
         Each server is started {ROUNDS} times, in turns. A round measures, in this order:\n\n\
         - memory, idle;\n\
         - memory with {HELD} connections open, {settles} s after each has sent one callback;\n\
         - closed loop: after a warm-up, {CONNECTIONS} connections for {closed} s, each of which sends a callback as soon as the one before is \
         answered;\n\
         - open loop: {RATE} callbacks a second for {open} s over the same connections. Each is timed from when it was due, so waiting for a free \
         connection counts;\n\
         - memory, {settles} s after the last connection is closed.\n\n\
         Every answer must be the platform's success, and the stub must have taken exactly one item for each; otherwise the run fails. \
         Before the first round, both servers must reject a forged callback of each platform.\n\n\
         Medians over the rounds (least to most). The ratio is Express to `server`, taken within a round. Processor time and memory \
         are those of all processes of a server. RSS counts shared pages once for each process, PSS once.",
        limit.rate(),
        ms(quantile(&limit.latencies, 500)),
        settles = SETTLES.as_secs(),
        closed = CLOSED_LASTS.as_secs(),
        open = OPEN_LASTS.as_secs(),
    )
}

/// How long callbacks take at the fixed rate, over all rounds together.
fn plot(output: &Path, subjects: &[Subject; 2], rounds: &[Vec<Round>; 2]) -> Result<()> {
    let lines = [0, 1].map(|index| {
        let latencies = rounds[index].iter().flat_map(|round| round.open.load.latencies.clone()).collect::<Vec<_>>();
        let at = |one_in: usize| (one_in as f64, ms(quantile(&latencies, 1_000 - 1_000 / one_in)));
        (subjects[index].name, ONE_IN.map(at).to_vec())
    });
    let title = format!("{RATE} callbacks a second: the time that one callback in so many exceeds, ms");
    plot_lines(&output.join("server.svg"), &title, "one in", &lines).map_err(|error| anyhow!("{error}"))
}
