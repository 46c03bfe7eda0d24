//! A run as a picture: throughput and latency over time, as SVG.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use crate::recorder::MOMENT;
use crate::report::{Moment, Report};
use crate::schedule::approximate;

/// Width and height, in pixels.
const SIZE: (u32, u32) = (960, 640);
/// Least latency that the plot shows, in milliseconds.
const LATENCY_MS_MIN: f64 = 0.01;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Points = Vec<(f64, f64)>;
type Outcome = Result<(), Box<dyn std::error::Error>>;

/// `report` as the text of an SVG.
///
/// # Errors
/// What the drawing library says; into memory nothing is known to fail.
pub(crate) fn svg(report: &Report) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let (above, below) = area.split_vertically(SIZE.1 / 2);
        throughput(&above, report)?;
        latency(&below, report)?;
        area.present()?;
    }
    Ok(text)
}

fn throughput(area: &Area<'_>, report: &Report) -> Outcome {
    let per_second = |count: u64| approximate(count) / MOMENT.as_secs_f64();
    let succeeded = points(report, |moment| per_second(moment.succeeded));
    let failed = points(report, |moment| per_second(moment.failed));
    let most = succeeded.iter().chain(&failed).map(|(_, rate)| *rate).fold(1.0, f64::max);
    let title = format!("{}, {} clients: operations per second", report.workload, report.clients);
    let lines = [("succeeded", &BLUE, succeeded), ("failed", &RED, failed)];
    chart(area, &title, end(report), 0.0..most * 1.05, lines.as_slice())
}

fn latency(area: &Area<'_>, report: &Report) -> Outcome {
    let shown = |milliseconds: f64| milliseconds.max(LATENCY_MS_MIN);
    let median = points(report, |moment| shown(moment.latency.p50_ms));
    let p99 = points(report, |moment| shown(moment.latency.p99_ms));
    let longest = points(report, |moment| shown(moment.latency.max_ms));
    let most = longest.iter().map(|(_, latency)| *latency).fold(1.0, f64::max);
    let lines = [("p50", &BLUE, median), ("p99", &GREEN, p99), ("max", &RED, longest)];
    let range = (LATENCY_MS_MIN..most * 1.5).log_scale();
    chart(area, "latency, milliseconds", end(report), range, lines.as_slice())
}

/// A point for each moment, in its middle.
fn points(report: &Report, value: impl Fn(&Moment) -> f64) -> Points {
    let middle = MOMENT.as_secs_f64() / 2.0;
    report.moments.iter().map(|moment| (moment.seconds + middle, value(moment))).collect()
}

fn end(report: &Report) -> f64 {
    report.seconds.max(MOMENT.as_secs_f64())
}

fn chart<Y>(
    area: &Area<'_>,
    title: &str,
    seconds: f64,
    range: Y,
    lines: &[(&str, &'static RGBColor, Points)],
) -> Outcome
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..seconds, range)?;
    chart.configure_mesh().light_line_style(WHITE).x_desc("seconds").draw()?;
    for (name, color, points) in lines {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), *color))?
            .label(*name)
            .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], *color));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    Ok(())
}
