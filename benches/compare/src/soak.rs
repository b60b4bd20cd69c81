//! What `make soak` noted, as a table and a plot; and whether the functions' memory is flat.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use serde::Deserialize;

use crate::report::{Drawn, host};

/// Times in seconds since the beginning, each with a figure.
type Points = Vec<(f64, f64)>;

#[derive(Deserialize)]
struct Soak {
    minutes: f64,
    a_second: usize,
    groups: usize,
    pages: usize,
    outage_seconds: u64,
    queued_by_hand: usize,
    repeated_events: usize,
    /// How many lines of the log have which outcome.
    outcomes: BTreeMap<String, usize>,
    /// When each began, when it ended, and when the queue was empty again.
    outages: Vec<(f64, f64, f64)>,
    /// By the processes' name, in bytes: the whole (RSS), and what of it is no file.
    memory: BTreeMap<String, Vec<(f64, f64, f64)>>,
    /// In milliseconds.
    latencies: Vec<(String, Points)>,
}

/// Processes that are no functions: what stands for AWS, and the shells that end everything with the stack.
const EMULATORS: [(&str, &str); 3] = [
    ("cargo-lambda", "`cargo-lambda`: the Lambda API"),
    ("local", "`local`: DynamoDB, SQS, EventBridge"),
    ("sh", "`sh`: two shells a process"),
];
/// How much a function may grow from the second sixth to the last: a part, and MB.
const FLAT: (f64, f64) = (1.1, 1.0);
/// And MB an invocation: `lambda_runtime` puts each one's trace id into the environment, whose old values glibc never frees. 158
/// bytes were measured.
const RUNTIME_LEAK: f64 = 170e-6;
/// How many windows the plot's latencies are of.
const WINDOWS: usize = 60;
const SIZE: (u32, u32) = (820, 1_020);
const GREY: RGBColor = RGBColor(225, 225, 225);
const COLOURS: [(&str, RGBColor); 11] = [
    ("openim", RGBColor(60, 150, 220)),
    ("publisher", RGBColor(110, 95, 185)),
    ("reader", RGBColor(60, 140, 60)),
    ("replay", RGBColor(214, 120, 20)),
    ("tencent-chat", RGBColor(0, 92, 175)),
    ("cargo-lambda", RGBColor(214, 120, 20)),
    ("local", RGBColor(180, 50, 60)),
    ("sh", RGBColor(110, 110, 110)),
    ("callbacks", RGBColor(0, 92, 175)),
    ("the page's feed", RGBColor(60, 140, 60)),
    ("a group on the page", RGBColor(214, 120, 20)),
];

/// A line of a plot; one of a width of 1 has the name of the one before.
struct Line {
    name: String,
    colour: RGBColor,
    width: u32,
    points: Points,
}

impl Line {
    fn new(name: &str, width: u32, points: Points) -> Self {
        let colour = COLOURS.into_iter().find(|(own, _)| *own == name).map_or(BLACK, |(_, colour)| colour);
        Self { name: name.to_owned(), colour, width, points }
    }
}

fn most(points: &Points) -> f64 {
    points.iter().map(|(_, figure)| *figure).fold(0.0, f64::max)
}

fn most_of(lines: &[Line]) -> f64 {
    lines.iter().map(|line| most(&line.points)).fold(0.0, f64::max)
}

/// Writes the table and the plot to a folder.
pub(crate) fn write(noted: &Path, output: &Path) -> Result<()> {
    let soak: Soak = serde_json::from_slice(&fs::read(noted)?)?;
    fs::write(output.join("soak.md"), soak.table()?)?;
    soak.plot(&output.join("soak.svg")).map_err(|error| anyhow!("{error}"))?;
    println!("The figures are in {}.", output.join("soak.md").display());
    for (name, samples) in soak.memory.iter().filter(|(name, _)| is_function(name)) {
        for (what, points) in [("RSS", rss(samples)), ("anonymous memory", anonymous(samples))] {
            let [second, last] = [1, 5].map(|sixth| median(soak.sixth(&points, sixth)));
            let leaked = soak.invocations(name) * 4.0 / 6.0 * RUNTIME_LEAK;
            ensure!(
                last <= second * FLAT.0 + FLAT.1 + leaked,
                "the {what} of {name} grew from {second:.2} to {last:.2} MB"
            );
        }
    }
    Ok(())
}

/// The whole memory, in MB.
fn rss(samples: &[(f64, f64, f64)]) -> Points {
    samples.iter().map(|(at, rss, _)| (*at, rss / 1e6)).collect()
}

/// The memory that is no file, in MB.
fn anonymous(samples: &[(f64, f64, f64)]) -> Points {
    samples.iter().map(|(at, _, anonymous)| (*at, anonymous / 1e6)).collect()
}

impl Soak {
    fn lasts(&self) -> f64 {
        self.minutes * 60.0
    }

    /// How often a function was invoked, at most.
    fn invocations(&self, function: &str) -> f64 {
        let counts: Vec<f64> = self.latencies.iter().map(|(_, points)| points.len() as f64).collect();
        match function {
            "openim" | "tencent-chat" => counts[0] / 2.0,
            // The pages, and the follower, twice a second.
            "reader" => counts[1] + counts[2] + 2.0 * self.lasts(),
            _ => counts[0] + self.queued_by_hand as f64,
        }
    }

    /// The figures of one sixth of the time, from 0 to 5.
    fn sixth(&self, points: &Points, sixth: usize) -> Vec<f64> {
        let of = |at: f64| ((at / self.lasts() * 6.0) as usize).min(5);
        points.iter().filter(|(at, _)| of(*at) == sixth).map(|(_, figure)| *figure).collect()
    }

    fn is_in_outage(&self, at: f64) -> bool {
        self.outages.iter().any(|(cut_off, _, drained)| (*cut_off..=*drained).contains(&at))
    }

    fn table(&self) -> Result<String> {
        let Self { minutes, a_second, groups, pages, outage_seconds, queued_by_hand, repeated_events, .. } = self;
        let callbacks = self.latencies[0].1.len();
        let outcomes = self.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}"));
        let mut table = format!(
            "# {minutes} minutes of mixed load\n\n{}.\n\n\
             {a_second} signed callbacks a second, half of each platform, on {groups} groups, others every 10 minutes: {callbacks}. \
             {queued_by_hand} records through the fallback queue, one every other second. Outages of DynamoDB: {}, of \
             {outage_seconds} s. A follower of the feed, a receiver of the bus's events, and {pages} people with the page open. No answer was wrong or later than 2 s, each \
             callback is one record, the feed had each record once, and the bus each one's event ({repeated_events} came \
             again). The functions' lines of log: {}.\n\n\
             ## Memory\n\nMedians of a sixth of the time, MB. RSS counts a program's file too, as far as it is in memory; \
             anonymous memory is what the process has allocated. A function's grows by some 158 bytes an invocation: \
             `lambda_runtime` sets `_X_AMZN_TRACE_ID` for each, and glibc keeps every value.\n\n\
             | process | RSS, second sixth | last sixth | growth | most | anonymous, second sixth | last sixth | growth | most |\n\
             |{}\n",
            host()?,
            self.outages.len(),
            outcomes.collect::<Vec<_>>().join(", "),
            " --- |".repeat(9),
        );
        for of_functions in [true, false] {
            for (name, samples) in self.memory.iter().filter(|(name, _)| is_function(name) == of_functions) {
                let emulator = EMULATORS.iter().find(|(emulator, _)| emulator == name);
                write!(
                    table,
                    "| {} |",
                    emulator.map_or_else(|| format!("`{name}`"), |(_, title)| (*title).to_owned())
                )?;
                for points in [rss(samples), anonymous(samples)] {
                    let [second, last] = [1, 5].map(|sixth| median(self.sixth(&points, sixth)));
                    let growth = last - second;
                    write!(table, " {second:.2} | {last:.2} | {growth:+.2} | {:.2} |", most(&points))?;
                }
                writeln!(table)?;
            }
        }
        writeln!(
            table,
            "\nThe emulators keep data in memory: the local SQS every queue, the embedded DynamoDB SQLite's cache.\n\n\
             ## Latency\n\nMilliseconds, through the local Lambda API. Quantiles are of what was sent outside of outages, each \
             of which lasts until the fallback queue is empty again.\n\n\
             | | first sixth, p50 | p99 | last sixth, p50 | p99 | longest | longest in an outage |\n\
             | --- | --- | --- | --- | --- | --- | --- |"
        )?;
        for (name, points) in &self.latencies {
            let (during, outside): (Points, Points) = points.iter().partition(|(at, _)| self.is_in_outage(*at));
            let [first, last] = [0, 5].map(|sixth| self.sixth(&outside, sixth));
            writeln!(
                table,
                "| {name} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} |",
                quantile(first.clone(), 0.5),
                quantile(first, 0.99),
                quantile(last.clone(), 0.5),
                quantile(last, 0.99),
                most(&outside),
                most(&during),
            )?;
        }
        writeln!(table, "\n![Memory and latency over the time; outages are grey](soak.svg)")?;
        Ok(table)
    }

    /// A panel each: the functions' memory, the emulators', and latencies.
    fn plot(&self, path: &Path) -> Drawn {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let panels = area.split_evenly((3, 1));
        for (panel, of_functions) in panels.iter().zip([true, false]) {
            let memory = self.memory.iter().filter(|(name, _)| is_function(name) == of_functions);
            let lines: Vec<Line> = memory
                .flat_map(|(name, samples)| [Line::new(name, 2, rss(samples)), Line::new(name, 1, anonymous(samples))])
                .collect();
            let of = if of_functions { "functions" } else { "emulators" };
            let title = format!("Memory of the {of}, MB: RSS thick, anonymous thin");
            let most = most_of(&lines) * 1.1;
            self.panel(panel, &title, 0.0..most, (0.0, most), &lines)?;
        }
        let lines: Vec<Line> = self
            .latencies
            .iter()
            .flat_map(|(name, points)| {
                [Line::new(name, 2, self.windows(points, 0.5)), Line::new(name, 1, self.windows(points, 0.99))]
            })
            .collect();
        let least = lines.iter().flat_map(|line| &line.points).map(|(_, took)| *took).fold(f64::MAX, f64::min) / 2.0;
        let most = most_of(&lines) * 2.0;
        self.panel(
            &panels[2],
            "Latency, ms: p50 thick, p99 thin; outages are grey",
            (least..most).log_scale(),
            (least, most),
            &lines,
        )?;
        area.present()?;
        Ok(())
    }

    /// Lines over the minutes, with the outages behind them.
    fn panel<Y>(
        &self,
        area: &DrawingArea<SVGBackend<'_>, Shift>,
        title: &str,
        y: Y,
        (least, most): (f64, f64),
        lines: &[Line],
    ) -> Drawn
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 18))
            .margin(10)
            .margin_right(150)
            .x_label_area_size(36)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..self.minutes, y)?;
        let outages = self.outages.iter().map(|(cut_off, _, drained)| {
            Rectangle::new([(cut_off / 60.0, least), (drained / 60.0, most)], GREY.filled())
        });
        chart.draw_series(outages)?;
        chart.configure_mesh().x_desc("minutes").disable_x_mesh().light_line_style(TRANSPARENT).draw()?;
        // The names beside the lines, not over them.
        let mut y = 40;
        for Line { name, colour, width, points } in lines {
            let style = colour.stroke_width(*width);
            chart.draw_series(LineSeries::new(points.iter().map(|(at, figure)| (at / 60.0, *figure)), style))?;
            if *width > 1 {
                let x = SIZE.0.cast_signed() - 145;
                area.draw(&PathElement::new([(x, y + 7), (x + 16, y + 7)], style))?;
                area.draw(&Text::new(name.as_str(), (x + 20, y), ("sans-serif", 13)))?;
                y += 18;
            }
        }
        Ok(())
    }

    /// A quantile of each of the windows.
    fn windows(&self, points: &Points, of_1: f64) -> Points {
        let length = self.lasts() / WINDOWS as f64;
        let window = |number: usize| {
            let is_in = |at: f64| (at / length) as usize == number;
            let figures: Vec<f64> = points.iter().filter(|(at, _)| is_in(*at)).map(|(_, took)| *took).collect();
            let at = (number as f64 + 0.5) * length;
            (!figures.is_empty()).then(|| (at, quantile(figures, of_1)))
        };
        (0..WINDOWS).filter_map(window).collect()
    }
}

fn is_function(name: &str) -> bool {
    EMULATORS.iter().all(|(emulator, _)| *emulator != name)
}

fn median(figures: Vec<f64>) -> f64 {
    quantile(figures, 0.5)
}

fn quantile(mut figures: Vec<f64>, of_1: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get((figures.len().saturating_sub(1) as f64 * of_1) as usize).copied().unwrap_or(f64::NAN)
}
