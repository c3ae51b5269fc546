//! The screen of `top`: tables that share what room there is. Draws and nothing else.

use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use super::frame::{CLIENTS, CORES, Frame, PARTITIONS, STAGES};

/// Border above, head, and a little.
const FRAME_LINES: u16 = 2;
/// From here on partitions and clients stand beside the stages.
const WIDE_COLUMNS: u16 = 150;
const KEYS: &str = " q quits · space pauses ";

/// `frame` is not there before there were two looks.
pub fn draw(screen: &mut ratatui::Frame<'_>, frame: Option<&Frame>, headline: &str) {
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(screen.area());
    screen.render_widget(Line::styled(headline, Style::new().add_modifier(Modifier::BOLD)), head);
    let Some(frame) = frame else {
        return screen.render_widget(Paragraph::new("looking …"), body);
    };
    let cores = lines(frame.cores.len()).min(body.height / 3);
    let [cores, rest, disk] =
        Layout::vertical([Constraint::Length(cores), Constraint::Min(0), Constraint::Length(2)]).areas(body);
    table(screen, cores, "cores", &CORES, &frame.cores, 1);
    if rest.width >= WIDE_COLUMNS {
        let [left, right] = Layout::horizontal([Constraint::Percentage(45), Constraint::Percentage(55)]).areas(rest);
        table(screen, left, "stages", &STAGES, &frame.stages, 2);
        let [upper, lower] = Layout::vertical([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(right);
        table(screen, upper, "partitions", &PARTITIONS, &frame.partitions, 1);
        table(screen, lower, "clients", &CLIENTS, &frame.clients, 2);
    } else {
        let stages = lines(frame.stages.len()).min(rest.height / 2);
        let heights = [Constraint::Length(stages), Constraint::Fill(3), Constraint::Fill(2)];
        let [stages, upper, lower] = Layout::vertical(heights).areas(rest);
        table(screen, stages, "stages", &STAGES, &frame.stages, 2);
        table(screen, upper, "partitions", &PARTITIONS, &frame.partitions, 1);
        table(screen, lower, "clients", &CLIENTS, &frame.clients, 2);
    }
    let block = Block::new().borders(Borders::TOP).title("disk").title_top(Line::from(KEYS).right_aligned());
    screen.render_widget(Paragraph::new(frame.disk.as_str()).block(block), disk);
}

/// Those that a table of so many rows takes.
fn lines(rows: usize) -> u16 {
    u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(FRAME_LINES)
}

/// The first `names` columns are names and stand left, the others are numbers and stand right.
fn table(screen: &mut ratatui::Frame<'_>, area: Rect, title: &str, head: &[&str], rows: &[Vec<String>], names: usize) {
    let shown = usize::from(area.height.saturating_sub(FRAME_LINES));
    let rows = &rows[..rows.len().min(shown)];
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(String::as_str).chain(head.get(column).copied());
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(widest).collect();
    let cell = |(column, text): (usize, &str)| {
        let width = widths.get(column).copied().unwrap_or(0);
        Cell::new(if column < names { format!("{text:<width$}") } else { format!("{text:>width$}") })
    };
    let line = |row: &Vec<String>| Row::new(row.iter().map(String::as_str).enumerate().map(cell));
    let head = Row::new(head.iter().copied().enumerate().map(cell)).style(Style::new().add_modifier(Modifier::DIM));
    let widths = widths.iter().map(|width| Constraint::Length(u16::try_from(*width).unwrap_or(u16::MAX)));
    let block = Block::new().borders(Borders::TOP).title(title);
    let table = Table::new(rows.iter().map(line), widths).column_spacing(2).header(head).block(block);
    screen.render_widget(table, area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn drawn(width: u16, height: u16, frame: Option<&Frame>) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|screen| draw(screen, frame, "corelog h:1 · ready · every 2 s")).expect("drawn");
        let buffer = terminal.backend().buffer().clone();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>().trim_end().to_owned();
        (0..height).map(row).collect()
    }

    fn sample() -> Frame {
        let rows = |head: &[&str], count: usize| {
            (0..count).map(|n| head.iter().map(|name| format!("{name}{n}")).collect()).collect()
        };
        Frame {
            cores: rows(&CORES, 2),
            stages: rows(&STAGES, 12),
            partitions: rows(&PARTITIONS, 50),
            clients: rows(&CLIENTS, 50),
            disk: "journal 1 MiB/s".to_owned(),
        }
    }

    #[test]
    fn every_part_has_a_place_on_a_small_and_on_a_large_screen() {
        let frame = sample();
        for (width, height) in [(80, 24), (120, 40), (200, 50)] {
            let screen = drawn(width, height, Some(&frame));
            for part in ["corelog h:1", "cores", "stages", "partitions", "clients", "disk", "journal 1 MiB/s"] {
                assert!(screen.iter().any(|line| line.contains(part)), "{part} at {width}×{height}: {screen:#?}");
            }
            assert!(screen.iter().any(|line| line.contains("partition0")), "{screen:#?}");
        }
    }

    #[test]
    fn no_size_is_too_small() {
        for (width, height) in [(1, 1), (10, 3), (40, 8), (300, 2)] {
            drawn(width, height, Some(&sample()));
            drawn(width, height, None);
        }
    }
}
