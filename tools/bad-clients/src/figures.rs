//! The figures of a server's pools, and how its process tells them.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use poolbuf::PoolStats;

/// Of all pools of a server together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub in_use: u64,
    pub max: u64,
    pub high_water: u64,
    pub acquired: u64,
}

/// A line or a text has no figures where they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoFigures;

impl Figures {
    pub fn of(stats: &PoolStats) -> Figures {
        Figures {
            in_use: stats.in_use as u64,
            max: stats.max as u64,
            high_water: stats.high_water as u64,
            acquired: stats.acquired,
        }
    }

    /// What the metrics of a server say, in Prometheus' text format.
    pub fn from_metrics(text: &str) -> Result<Figures, NoFigures> {
        let sum = |name: &str| {
            // Of the small ones there is one for each connection, and more than there can be connections.
            let lines = text.lines().filter(|line| match name {
                "poolbuf_buffers_max" | "poolbuf_buffers_peak" => !line.contains("\"header pool\""),
                _ => true,
            });
            let samples = lines.filter_map(|line| line.strip_prefix(name));
            // Behind another name that only begins like this one, there are no labels.
            let labelled = samples.filter_map(|rest| rest.strip_prefix('{')?.split_once("} "));
            let values = labelled.map(|(_, value)| value.parse().map_err(|_| NoFigures));
            let values: Result<Vec<u64>, NoFigures> = values.collect();
            let values = values?;
            match values.is_empty() {
                true => Err(NoFigures),
                false => Ok(values.iter().sum()),
            }
        };
        let acquires = |outcome: &str| {
            let labelled = text.lines().filter(|line| line.contains(outcome));
            let values = labelled.filter_map(|line| {
                let line = line.strip_prefix("poolbuf_acquires_total{")?;
                line.split_once("} ")?.1.parse::<u64>().ok()
            });
            values.sum::<u64>()
        };
        Ok(Figures {
            in_use: sum("poolbuf_buffers_in_use")?,
            max: sum("poolbuf_buffers_max")?,
            high_water: sum("poolbuf_buffers_peak")?,
            acquired: acquires("outcome=\"direct\"") + acquires("outcome=\"waited\""),
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "in use {}, max {}, high water {}, acquired {}",
            self.in_use, self.max, self.high_water, self.acquired
        )
    }
}

impl FromStr for Figures {
    type Err = NoFigures;

    fn from_str(line: &str) -> Result<Figures, NoFigures> {
        let value = |name: &str| {
            let mut named = line.split(", ").filter_map(|part| part.strip_prefix(name));
            let value = named.next().ok_or(NoFigures)?;
            value.trim().parse().map_err(|_| NoFigures)
        };
        Ok(Figures {
            in_use: value("in use ")?,
            max: value("max ")?,
            high_water: value("high water ")?,
            acquired: value("acquired ")?,
        })
    }
}
