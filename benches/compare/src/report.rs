//! The figures as a table, as plots, and as they are.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::{Value, json};

use crate::DEFAULTS;
use crate::growth::{Growth, Lines};
use crate::measure::{Run, Subject};

type Runs = BTreeMap<(usize, &'static str), Vec<Run>>;

const SIZE: (u32, u32) = (820, 460);
/// By the subjects' names, so that one has the same colour in every plot.
const COLOURS: [(&str, RGBColor); 13] = [
    ("server", RGBColor(0, 92, 175)),
    ("Node 20, Express", RGBColor(60, 140, 60)),
    ("tencent-chat", RGBColor(0, 92, 175)),
    ("openim", RGBColor(60, 150, 220)),
    ("tencent-chat (before)", RGBColor(110, 95, 185)),
    ("openim (before)", RGBColor(165, 150, 220)),
    ("floor", RGBColor(110, 110, 110)),
    ("floor, OpenIM's callback", RGBColor(130, 130, 130)),
    ("floor (lambda_http)", RGBColor(150, 150, 150)),
    ("limit", RGBColor(180, 180, 180)),
    (DEFAULTS, RGBColor(214, 120, 20)),
    ("Node 20, SDK v3", RGBColor(60, 140, 60)),
    ("Python 3, boto3", RGBColor(180, 50, 60)),
];

fn colour(subject: &str) -> RGBColor {
    COLOURS.into_iter().find(|(name, _)| *name == subject).map_or(BLACK, |(_, colour)| colour)
}

/// One figure over all starts.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) least: f64,
    lower: f64,
    pub(crate) median: f64,
    upper: f64,
    pub(crate) most: f64,
}

impl Figure {
    fn of(runs: &[Run], figure: impl Fn(&Run) -> f64) -> Self {
        Self::among(runs.iter().map(figure).collect())
    }

    pub(crate) fn among(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |quarter: usize| figures[(figures.len() - 1) * quarter / 4];
        Self { least: at(0), lower: at(1), median: at(2), upper: at(3), most: at(4) }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, least, most, .. } = self;
        let digits = match median {
            ..1.0 => 3,
            ..100.0 => 1,
            _ => 0,
        };
        write!(formatter, "{median:.digits$} ({least:.digits$} to {most:.digits$})")
    }
}

/// How a figure is read off a run.
type Reading = fn(&Run) -> f64;

/// What is reported of each run: names, units and readings.
const FIGURES: [(&str, &str, Reading); 10] = [
    ("start to ready", "ms", |run| ms(run.start_wall)),
    ("start to ready, CPU", "ms", |run| ms(run.start_cpu)),
    ("first callback", "ms", |run| ms(run.first_wall)),
    ("first callback, CPU", "ms", |run| ms(run.first_cpu)),
    ("start and first callback", "ms", |run| ms(run.start_wall + run.first_wall)),
    ("warm, p50", "ms", |run| ms(quantile(&run.warm_wall, 500))),
    ("warm, p99", "ms", |run| ms(quantile(&run.warm_wall, 990))),
    ("warm, CPU a callback", "ms", |run| ms(run.warm_cpu) / run.warm_wall.len() as f64),
    ("callbacks a second", "", |run| run.warm_wall.len() as f64 / run.warm_wall.iter().sum::<Duration>().as_secs_f64()),
    ("peak memory", "MB", |run| run.peak_memory as f64 / 1e6),
];

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(crate) fn quantile(durations: &[Duration], permille: usize) -> Duration {
    let mut durations = durations.to_vec();
    durations.sort();
    durations[(durations.len() - 1) * permille / 1000]
}

pub(crate) fn write(output: &Path, benches: &Path, subjects: &[Subject], runs: &Runs, growth: &Growth) -> Result<()> {
    let machine = machine(benches)?;
    let sizes: Vec<Size> = subjects.iter().map(deployed_size).collect::<Result<_>>()?;
    fs::write(output.join("figures.md"), table(&machine, subjects, runs, &sizes, growth)?)?;
    fs::write(output.join("figures.json"), json(&machine, subjects, runs, &sizes, growth).to_string() + "\n")?;
    draw_plots(output, subjects, runs, growth).map_err(|error| anyhow!("{error}"))?;
    println!("The figures are in {}.", output.join("figures.md").display());
    Ok(())
}

/// The medians and ratios, for people.
fn table(machine: &str, subjects: &[Subject], runs: &Runs, sizes: &[Size], growth: &Growth) -> Result<String> {
    let mut table = format!("# Figures\n\n{machine}\n");
    for (transport, title) in [("tls", "DynamoDB over TLS, as on AWS"), ("clear", "DynamoDB over plain HTTP")] {
        writeln!(
            table,
            "\n## {title}\n\nMedians of {} starts (least to most). Below them, multiples of another's figure: each taken within one round of \
             starts, then the median over the rounds (middle half), which is not quite the medians' ratio. `openim` is set against \
             the floor that is sent the same callback.\n",
            runs[&(0, transport)].len()
        )?;
        rows(&mut table, subjects, runs, transport)?;
    }
    writeln!(
        table,
        "\n## Size\n\nOf the scripts with their packages, some of which Lambda has: the SDKs, and the runtime client.\n\n| | {} |\n|{}",
        names(subjects),
        " --- |".repeat(subjects.len() + 1)
    )?;
    let size_row = |name: &str, bytes: fn(&Size) -> u64| {
        let cells = sizes.iter().map(|size| format!("{:.2}", bytes(size) as f64 / 1e6));
        format!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "))
    };
    writeln!(table, "{}", size_row("unpacked, MB", |size| size.unpacked))?;
    writeln!(table, "{}", size_row("zip, MB", |size| size.zip))?;
    for (name, what, lines) in
        [("body, bytes", "size", &growth.cpu_by_bytes), ("members", "members", &growth.cpu_by_members)]
    {
        writeln!(table, "\n## Growth with {what}\n\nProcessor time a callback over TLS, µs.\n")?;
        writeln!(table, "| {name} | {} |", lines.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" | "))?;
        writeln!(table, "|{}", " --- |".repeat(lines.len() + 1))?;
        for (index, (size, _)) in lines[0].1.iter().enumerate() {
            let cells = lines.iter().map(|(_, points)| format!("{:.0}", points[index].1));
            writeln!(table, "| {size} | {} |", cells.collect::<Vec<_>>().join(" | "))?;
        }
    }
    writeln!(
        table,
        "\n## Write units\n\nOf one callback of `tencent-chat`, as DynamoDB (dynoxide) counts them.\n\n| body, bytes | write units |\n| --- | --- |"
    )?;
    for (bytes, units) in &growth.units_by_bytes {
        writeln!(table, "| {bytes} | {units} |")?;
    }
    Ok(table)
}

/// Every figure of every start, for programs.
fn json(machine: &str, subjects: &[Subject], runs: &Runs, sizes: &[Size], growth: &Growth) -> Value {
    let sizes = subjects.iter().zip(sizes);
    let sizes =
        sizes.map(|(subject, size)| json!({ "name": subject.name, "bytes": size.unpacked, "zip_bytes": size.zip }));
    let points =
        |lines: &Lines| lines.iter().map(|(name, points)| ((*name).to_owned(), json!(points))).collect::<Value>();
    json!({
        "machine": machine, "tls": starts(subjects, runs, "tls"), "clear": starts(subjects, runs, "clear"),
        "sizes": sizes.collect::<Value>(),
        "cpu us by bytes": points(&growth.cpu_by_bytes), "cpu us by members": points(&growth.cpu_by_members),
        "write units by bytes": growth.units_by_bytes,
    })
}

/// The figures that the text refers to, as pictures.
fn draw_plots(output: &Path, subjects: &[Subject], runs: &Runs, growth: &Growth) -> Drawn {
    for (name, title, figure) in [
        ("start.svg", "Start and first callback over TLS, ms", 4),
        ("warm.svg", "Processor time of a warm callback over TLS, ms", 7),
        ("memory.svg", "Peak memory, MB", 9),
    ] {
        let bars = subjects.iter().enumerate();
        let bars = bars.map(|(number, subject)| (subject.name, Figure::of(&runs[&(number, "tls")], FIGURES[figure].2)));
        plot_bars(&output.join(name), title, &bars.collect::<Vec<_>>())?;
    }
    for (name, title, x, lines) in [
        ("bytes.svg", "Processor time a callback, µs", "body, bytes", &growth.cpu_by_bytes),
        ("members.svg", "Processor time a callback, µs", "members", &growth.cpu_by_members),
        ("units.svg", "Write units a callback", "body, bytes", &vec![("tencent-chat", growth.units_by_bytes.clone())]),
    ] {
        plot_lines(&output.join(name), title, x, lines)?;
    }
    Ok(())
}

fn names(subjects: &[Subject]) -> String {
    subjects.iter().map(|subject| subject.name).collect::<Vec<_>>().join(" | ")
}

fn rows(table: &mut String, subjects: &[Subject], runs: &Runs, transport: &'static str) -> Result<()> {
    writeln!(table, "| | {} |\n|{}", names(subjects), " --- |".repeat(subjects.len() + 1))?;
    for (name, unit, figure) in FIGURES {
        write!(table, "| {name}{}{unit} |", if unit.is_empty() { "" } else { ", " })?;
        for number in 0..subjects.len() {
            write!(table, " {} |", Figure::of(&runs[&(number, transport)], figure))?;
        }
        writeln!(table)?;
    }
    let number = |name: &str| subjects.iter().position(|subject| subject.name == name);
    let to = |of: fn(&Subject) -> String| -> Vec<Pair> {
        subjects.iter().enumerate().filter_map(|(index, subject)| Some((index, number(&of(subject))?))).collect()
    };
    ratios(table, "to the floor", subjects, runs, transport, &to(|subject| subject.floor.to_owned()))?;
    ratios(table, "to tencent-chat", subjects, runs, transport, &to(|_| "tencent-chat".to_owned()))?;
    ratios(table, "to before", subjects, runs, transport, &to(|subject| format!("{} (before)", subject.name)))
}

/// The numbers of a subject and of the one that it is set against.
type Pair = (usize, usize);

/// Each figure as a multiple of another subject's in the same round of starts; nothing without pairs.
fn ratios(
    table: &mut String,
    title: &str,
    subjects: &[Subject],
    runs: &Runs,
    transport: &'static str,
    pairs: &[Pair],
) -> Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = pairs.iter().map(|(number, _)| subjects[*number].name).collect();
    writeln!(table, "\n| {title} | {} |\n|{}", names.join(" | "), " --- |".repeat(names.len() + 1))?;
    for (name, _, figure) in FIGURES {
        write!(table, "| {name} |")?;
        for (number, other) in pairs {
            let rounds = runs[&(*number, transport)].iter().zip(&runs[&(*other, transport)]);
            let ratio = Figure::among(rounds.map(|(run, other)| figure(run) / figure(other)).collect());
            write!(table, " {:.2} ({:.2} to {:.2}) |", ratio.median, ratio.lower, ratio.upper)?;
        }
        writeln!(table)?;
    }
    Ok(())
}

/// Every start's figures.
fn starts(subjects: &[Subject], runs: &Runs, transport: &'static str) -> Value {
    let of = |number: usize, figure: Reading| runs[&(number, transport)].iter().map(figure).collect::<Vec<_>>();
    FIGURES
        .into_iter()
        .map(|(name, unit, figure)| {
            let all = subjects
                .iter()
                .enumerate()
                .map(|(number, subject)| (subject.name.to_owned(), json!(of(number, figure))));
            (format!("{name} {unit}").trim().to_owned(), Value::Object(all.collect()))
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// How many bytes what is deployed has, as it is and as a zip.
struct Size {
    unpacked: u64,
    zip: u64,
}

fn deployed_size(subject: &Subject) -> Result<Size> {
    let folder = tempfile::tempdir()?;
    let zip = folder.path().join("deployed.zip");
    let status = Command::new("python3").args(["-m", "zipfile", "-c"]).arg(&zip).args(&subject.deployed).status()?;
    ensure!(status.success(), "{} cannot be zipped", subject.name);
    let unpacked = subject.deployed.iter().map(|path| size(path)).sum::<Result<u64>>()?;
    Ok(Size { unpacked, zip: fs::metadata(zip)?.len() })
}

fn size(path: &Path) -> Result<u64> {
    if path.is_file() {
        return Ok(fs::metadata(path)?.len());
    }
    let entries: Vec<PathBuf> = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    entries.iter().filter(|path| !path.is_symlink()).map(|path| size(path)).sum()
}

/// When and on which machine this was, and with what it ran.
fn machine(benches: &Path) -> Result<String> {
    let python = fs::read_to_string(benches.join("peers/python/requirements.txt"))?;
    let python = python.split('#').next().unwrap_or_default();
    Ok(format!(
        "{}, Node {} with {}, {} with {}.",
        host()?,
        said("node", "--version")?,
        packages(&benches.join("peers/node"))?.join(" and "),
        said("python3", "--version")?,
        python.trim().replace("==", " ").replace('\n', " and "),
    ))
}

/// The day, the machine and the compiler.
pub(crate) fn host() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{}, {cores} cores of {}, Linux {}, {}",
        said("date", "--iso-8601")?,
        model.trim_start_matches([':', '\t', ' ']).trim(),
        kernel.trim(),
        said("rustc", "--version")?,
    ))
}

/// What a program says of itself.
pub(crate) fn said(program: &str, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output().with_context(|| format!("{program} is missing"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The packages that a peer in Node asks for, with their versions.
pub(crate) fn packages(peer: &Path) -> Result<Vec<String>> {
    let package: Value = serde_json::from_slice(&fs::read(peer.join("package.json"))?)?;
    let packages = package["dependencies"].as_object().into_iter().flatten();
    Ok(packages.map(|(name, version)| format!("{name} {}", version.as_str().unwrap_or_default())).collect())
}

pub(crate) type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn area(path: &Path) -> std::result::Result<DrawingArea<SVGBackend<'_>, Shift>, Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    Ok(area)
}

/// One bar a subject, on a logarithmic axis, with the spread over all starts.
fn plot_bars(path: &Path, title: &str, bars: &[(&str, Figure)]) -> Drawn {
    let area = area(path)?;
    let least = bars.iter().map(|(_, figure)| figure.least).fold(f64::MAX, f64::min) / 3.0;
    let most = bars.iter().map(|(_, figure)| figure.most).fold(0.0, f64::max) * 2.0;
    let rows = bars.len() as f64;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(150)
        .build_cartesian_2d((least..most).log_scale(), 0.0..rows)?;
    let name = |y: &f64| bars.get((rows - y) as usize).map_or(String::new(), |(name, _)| (*name).to_owned());
    chart.configure_mesh().disable_y_mesh().y_labels(0).y_label_formatter(&name).draw()?;
    for (number, (name, figure)) in bars.iter().enumerate() {
        let (y, colour) = (rows - 1.0 - number as f64, colour(name));
        chart.draw_series([
            Rectangle::new([(least, y + 0.2), (figure.median, y + 0.8)], colour.filled()),
            Rectangle::new([(figure.least, y + 0.48), (figure.most, y + 0.52)], BLACK.filled()),
        ])?;
        let (x, y) = chart.backend_coord(&(least, y + 0.5));
        area.draw(&Text::new((*name).to_owned(), (8, y - 7), ("sans-serif", 15)))?;
        let label = if figure.median < 1.0 { format!("{:.3}", figure.median) } else { format!("{:.1}", figure.median) };
        area.draw(&Text::new(label, (x + 6, y - 7), ("sans-serif", 14).into_font().color(&WHITE)))?;
    }
    area.present()?;
    Ok(())
}

/// One line a subject, both axes logarithmic.
pub(crate) fn plot_lines(path: &Path, title: &str, x: &str, lines: &[(&str, Vec<(f64, f64)>)]) -> Drawn {
    let area = area(path)?;
    let points = || lines.iter().flat_map(|(_, points)| points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let least = points().map(of).fold(f64::MAX, f64::min);
        let most = points().map(of).fold(0.0, f64::max);
        (least / 1.5..most * 1.5).log_scale()
    };
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(range(|point| point.0), range(|point| point.1))?;
    chart.configure_mesh().x_desc(x).draw()?;
    for (name, points) in lines {
        let colour = colour(name);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}
