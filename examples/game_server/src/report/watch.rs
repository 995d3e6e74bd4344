//! The terminal of `--watch`: its screen, its keys, and the log lines that would otherwise break it up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::live::Snapshot;
use super::screen;
use crate::program::Event;
use crate::server::Log;

/// Log lines that are kept for after the screen; of more, the first are dropped.
const LINES: usize = 1000;

/// Whether there is a terminal to draw on; the error is a line for the user.
pub(crate) fn check_terminal(is_terminal: bool) -> Result<(), String> {
    if is_terminal {
        return Ok(());
    }
    Err("--watch needs a terminal, and standard output is none".to_owned())
}

/// Log lines while the screen is up.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// A log that keeps its lines here.
    pub(crate) fn log(&self) -> Log {
        let lines = self.clone();
        Arc::new(move |line| {
            let mut lines = lines.0.lock();
            if lines.len() == LINES {
                lines.remove(0);
            }
            lines.push(line);
        })
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

/// The screen. Dropping it gives the terminal back as it was, and then tells the log what it missed.
pub(crate) struct Watch {
    terminal: DefaultTerminal,
    ended: Arc<AtomicBool>,
    keys: Option<thread::JoinHandle<()>>,
    lines: Lines,
    log: Log,
}

impl Watch {
    /// Takes the terminal; the error is a line for the user. `lines` are shown, and given to `log` when it
    /// is over.
    pub(crate) fn start(events: Sender<Event>, lines: Lines, log: Log) -> Result<Watch, String> {
        let terminal = ratatui::try_init().map_err(|error| format!("cannot draw on the terminal: {error}"))?;
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let keys = thread::spawn(move || {
            if read_keys(&events, &until).is_err() {
                // The keyboard could not end the run any more.
                let _ = events.send(Event::Interrupted);
            }
        });
        Ok(Watch {
            terminal,
            ended,
            keys: Some(keys),
            lines,
            log,
        })
    }

    pub(super) fn draw(&mut self, title: &str, snapshot: &Snapshot) {
        let lines = self.lines.all();
        let draw = |frame: &mut ratatui::Frame<'_>| screen::draw(frame, title, snapshot, &lines);
        if let Err(error) = self.terminal.draw(draw) {
            self.lines.log()(format!("cannot draw: {error}"));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(keys) = self.keys.take() {
            let _ = keys.join();
        }
        ratatui::restore();
        for line in self.lines.all() {
            (self.log)(line);
        }
    }
}

fn read_keys(events: &Sender<Event>, ended: &AtomicBool) -> io::Result<()> {
    while !ended.load(Ordering::Relaxed) {
        if !event::poll(Duration::from_millis(100))? {
            continue;
        }
        if let event::Event::Key(key) = event::read()? {
            if ends_the_run(key) && events.send(Event::Interrupted).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// While the screen is up, Ctrl-C is a key.
fn ends_the_run(key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let ends = match key.code {
        KeyCode::Char('q') => !control,
        KeyCode::Char('c') => control,
        _ => false,
    };
    ends && key.kind == KeyEventKind::Press
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::{LINES, Lines, check_terminal, ends_the_run};

    #[test]
    fn q_and_ctrl_c_end_the_run_and_no_other_key() {
        let key = |code, modifiers| ends_the_run(KeyEvent::new(code, modifiers));
        assert!(key(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE));
        assert!(!key(KeyCode::Char('q'), KeyModifiers::CONTROL));
        assert!(!key(KeyCode::Enter, KeyModifiers::NONE));
    }

    #[test]
    fn a_screen_without_a_terminal_is_refused() {
        assert_eq!(check_terminal(true), Ok(()));
        let error = check_terminal(false).expect_err("no terminal");
        assert!(error.starts_with("--watch needs a terminal"));
    }

    #[test]
    fn the_last_log_lines_are_kept() {
        let lines = Lines::default();
        for line in 0..LINES + 2 {
            lines.log()(line.to_string());
        }
        let all = lines.all();
        assert_eq!((all.len(), &*all[0]), (LINES, "2"));
        assert_eq!(all.last(), Some(&(LINES + 1).to_string()));
    }
}
