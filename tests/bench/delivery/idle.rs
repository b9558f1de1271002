//! What it costs to keep subscribers who are told nothing but that the stream lives.

use std::time::{Duration, Instant};

use crate::crowd::Crowd;
use crate::process;
use crate::system::{Job, System};

/// Long enough for two heartbeats of 15 s.
const TIME: Duration = Duration::from_secs(31);

/// Processor time in % of one core.
///
/// # Errors
/// When there were fewer heartbeats than there should be, or a stream ends.
pub fn run(system: &mut dyn System, job: &Job) -> Result<f64, String> {
    let mut crowd = Crowd::new(system.subscription());
    crowd.gather(job.subscribers, false)?;
    crowd.read_for(Duration::from_secs(2))?;
    let processes = system.processes();
    let before = process::processor_time(&processes);
    let payload = crowd.tally().payload;
    let began = Instant::now();
    crowd.read_for(TIME)?;
    let used = (process::processor_time(&processes) - before) as f64;
    let share = 100.0 * used / began.elapsed().as_nanos() as f64;
    // The shortest sign of life is a colon and two line breaks.
    match crowd.tally().payload - payload {
        few if few < 2 * 3 * job.subscribers as u64 => {
            Err(format!("only {few} bytes of heartbeats"))
        }
        _ => Ok(share),
    }
}
