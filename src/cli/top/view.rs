//! The screen of `top`: tables that share what room there is. Draws and nothing else.
//!
//! Invariant: what finds no room is left out whole: columns from the right, rows of the least weight, never half a number.

use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use super::frame::{CLIENTS, CORES, Frame, PARTITIONS, STAGES, StageRow};

/// Title and head of a table.
const FRAME_LINES: u16 = 2;
/// From here on partitions and clients stand beside the stages.
const WIDE_COLUMNS: u16 = 160;
/// What is told of a trouble is cut after so many lines.
const TROUBLE_LINES_MAX: usize = 4;
const DISK_LINES_MAX: usize = 3;
const SPACING: u16 = 2;
const KEYS: &str = " q quits · space pauses ";

/// `frame` is not there before there were two looks; `trouble` is why it is old.
pub fn draw(screen: &mut ratatui::Frame<'_>, frame: Option<&Frame>, headline: &str, trouble: Option<&str>) {
    let width = screen.area().width;
    let trouble = filled(trouble.into_iter().flat_map(str::split_whitespace), " ", TROUBLE_LINES_MAX, width);
    let heights = [Constraint::Length(1), Constraint::Length(height(&trouble)), Constraint::Min(0)];
    let [head, notice, body] = Layout::vertical(heights).areas(screen.area());
    screen.render_widget(Line::styled(headline, Style::new().add_modifier(Modifier::BOLD)), head);
    let loud = Style::new().add_modifier(Modifier::REVERSED);
    screen.render_widget(Paragraph::new(trouble.join("\n")).style(loud), notice);
    let Some(frame) = frame else {
        return screen.render_widget(Paragraph::new("looking …"), body);
    };
    let cores = lines(frame.cores.len()).min(body.height / 3);
    let disk_lines = filled(frame.disk.iter().map(String::as_str), " · ", DISK_LINES_MAX, width);
    let heights = [Constraint::Length(cores), Constraint::Min(0), Constraint::Length(height(&disk_lines) + 1)];
    let [cores, rest, disk] = Layout::vertical(heights).areas(body);
    table(screen, cores, "cores", &CORES, &shown(&frame.cores, cores), frame.cores.len(), 1);
    if rest.width >= WIDE_COLUMNS {
        let [left, right] = Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(rest);
        let left = Rect { width: left.width.saturating_sub(SPACING), ..left };
        stages(screen, left, &frame.stages);
        let [upper, lower] = Layout::vertical([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(right);
        table(screen, upper, "partitions", &PARTITIONS, &shown(&frame.partitions, upper), frame.partitions.len(), 1);
        table(screen, lower, "clients", &CLIENTS, &shown(&frame.clients, lower), frame.clients.len(), 2);
    } else {
        let stages_lines = lines(frame.stages.len()).min(rest.height / 2);
        let heights = [Constraint::Length(stages_lines), Constraint::Fill(3), Constraint::Fill(2)];
        let [middle, upper, lower] = Layout::vertical(heights).areas(rest);
        stages(screen, middle, &frame.stages);
        table(screen, upper, "partitions", &PARTITIONS, &shown(&frame.partitions, upper), frame.partitions.len(), 1);
        table(screen, lower, "clients", &CLIENTS, &shown(&frame.clients, lower), frame.clients.len(), 2);
    }
    let keys = if width > 40 { KEYS } else { "" };
    let block = Block::new().borders(Borders::TOP).title("disk").title_top(Line::from(keys).right_aligned());
    screen.render_widget(Paragraph::new(disk_lines.join("\n")).block(block), disk);
}

/// Lines of as many parts as each takes; those after the last line are left out.
fn filled<'a>(parts: impl Iterator<Item = &'a str>, between: &str, lines_max: usize, width: u16) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        let longer = lines.last().map(|line| format!("{line}{between}{part}"));
        match longer.filter(|longer| Line::from(longer.as_str()).width() <= usize::from(width)) {
            Some(longer) => {
                lines.pop();
                lines.push(longer);
            }
            None if lines.len() == lines_max => break,
            None => lines.push(part.to_owned()),
        }
    }
    lines
}

fn height(lines: &[String]) -> u16 {
    u16::try_from(lines.len()).unwrap_or(u16::MAX - 1)
}

/// Those that a table of so many rows takes.
fn lines(rows: usize) -> u16 {
    u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(FRAME_LINES)
}

/// How many rows a table there has room for.
fn room(area: Rect) -> usize {
    usize::from(area.height.saturating_sub(FRAME_LINES))
}

/// The first ones, as far as there is room.
fn shown(rows: &[Vec<String>], area: Rect) -> Vec<&[String]> {
    rows.iter().take(room(area)).map(Vec::as_slice).collect()
}

/// Where least time goes is left out first; the order stays.
fn stages(screen: &mut ratatui::Frame<'_>, area: Rect, rows: &[StageRow]) {
    let mut places: Vec<usize> = (0..rows.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(rows[*place].spent_ns));
    places.truncate(room(area));
    places.sort_unstable();
    let most: Vec<&[String]> = places.into_iter().map(|place| rows[place].cells.as_slice()).collect();
    table(screen, area, "stages", &STAGES, &most, rows.len(), 2);
}

/// The first `names` columns are names and stand left, the others are numbers and stand right. `all`: rows that there are.
fn table(
    screen: &mut ratatui::Frame<'_>,
    area: Rect,
    title: &str,
    head: &[&str],
    rows: &[&[String]],
    all: usize,
    names: usize,
) {
    let name_max = usize::from(area.width / 3).max(12);
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().enumerate().map(|(at, text)| if at < names { cut(text, name_max) } else { text.clone() }))
        .map(Iterator::collect)
        .collect();
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(String::as_str).chain(head.get(column).copied());
        u16::try_from(cells.map(|cell| Line::from(cell).width()).max().unwrap_or(0)).unwrap_or(u16::MAX)
    };
    let mut taken = 0_u16;
    let widths: Vec<u16> = (0..head.len())
        .map(widest)
        .take_while(|width| {
            taken = taken.saturating_add(*width).saturating_add(SPACING);
            taken.saturating_sub(SPACING) <= area.width
        })
        .collect();
    let cell = |(column, text): (usize, &str)| {
        let line = Line::from(text.to_owned());
        Cell::new(if column < names { line } else { line.right_aligned() })
    };
    let count = widths.len();
    let line = |row: &Vec<String>| Row::new(row.iter().map(String::as_str).take(count).enumerate().map(cell));
    let dim = Style::new().add_modifier(Modifier::DIM);
    let head = Row::new(head.iter().copied().take(count).enumerate().map(cell)).style(dim);
    let title = if rows.len() < all { format!("{title} ({} of {all})", rows.len()) } else { title.to_owned() };
    let block = Block::new().borders(Borders::TOP).title(title);
    let widths = widths.into_iter().map(Constraint::Length);
    let table = Table::new(rows.iter().map(line), widths).column_spacing(SPACING).header(head).block(block);
    screen.render_widget(table, area);
}

/// A name of at most so many characters: what is too much is taken out of its middle, as names differ at both ends.
fn cut(name: &str, max: usize) -> String {
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= max {
        return name.to_owned();
    }
    let (begin, end) = (max / 2, max.saturating_sub(max / 2 + 1));
    chars[..begin].iter().chain(&['…']).chain(&chars[chars.len() - end..]).collect()
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    const HEADLINE: &str = "corelog h:1 · ready · every 2 s";

    fn drawn(width: u16, height: u16, frame: Option<&Frame>, trouble: Option<&str>) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|screen| draw(screen, frame, HEADLINE, trouble)).expect("drawn");
        let buffer = terminal.backend().buffer().clone();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>().trim_end().to_owned();
        (0..height).map(row).collect()
    }

    fn sample() -> Frame {
        let rows = |head: &[&str], count: usize| -> Vec<Vec<String>> {
            (0..count).map(|n| head.iter().map(|name| format!("{name}{n}")).collect()).collect()
        };
        let stages = rows(&STAGES, 12).into_iter().zip(0..);
        Frame {
            cores: rows(&CORES, 2),
            stages: stages.map(|(cells, spent_ns)| StageRow { cells, spent_ns }).collect(),
            partitions: rows(&PARTITIONS, 50),
            clients: rows(&CLIENTS, 50),
            disk: vec!["journal 1 MiB/s".to_owned(), "9 MiB free of 10 MiB".to_owned(), "x".repeat(60)],
        }
    }

    fn has(screen: &[String], text: &str) -> bool {
        screen.iter().any(|line| line.contains(text))
    }

    #[test]
    fn every_part_has_a_place_on_a_small_and_on_a_large_screen() {
        let frame = sample();
        for (width, height) in [(40, 24), (80, 24), (120, 40), (200, 50)] {
            let screen = drawn(width, height, Some(&frame), None);
            for part in ["corelog h:1", "cores", "stages", "partitions", "clients", "disk", "journal 1 MiB/s"] {
                assert!(has(&screen, part), "{part} at {width}×{height}: {screen:#?}");
            }
            assert!(has(&screen, "partition0") && has(&screen, "of 50)"), "{screen:#?}");
        }
    }

    #[test]
    fn no_number_is_cut_and_the_longest_stages_are_kept() {
        let mut frame = sample();
        frame.partitions[0][0] = format!("{}-17", "long".repeat(60));
        let screen = drawn(60, 30, Some(&frame), None);
        let head = screen.iter().find(|line| line.starts_with("shard")).expect("the head of the cores");
        let last = head.split_whitespace().last().expect("a column");
        assert!(CORES.iter().any(|name| name.ends_with(last)), "{head}");
        assert!(has(&screen, "stage11") && !has(&screen, "stage0 "), "{screen:#?}");
        assert!(has(&screen, "…") && has(&screen, "-17") && has(&screen, "records/s0"), "{screen:#?}");
        assert_eq!((cut("abcdefghij", 5), cut("abc", 5)), ("ab…ij".to_owned(), "abc".to_owned()));
    }

    #[test]
    fn a_trouble_is_told_whole_above_the_old_figures() {
        let trouble =
            "Figures are 12 s old: no HTTP at 127.0.0.1:9644: Connection refused; give the address with --admin";
        let screen = drawn(50, 24, Some(&sample()), Some(trouble));
        assert_eq!(screen[1..3].join(" "), trouble, "{screen:#?}");
        assert!(screen[3].starts_with("cores") && has(&screen, "stages"), "{screen:#?}");
        let before = drawn(50, 24, None, Some(trouble));
        assert!(has(&before, "looking …") && has(&before, "--admin"), "{before:#?}");
    }

    #[test]
    fn no_size_is_too_small() {
        for (width, height) in [(1, 1), (10, 3), (40, 8), (300, 2)] {
            drawn(width, height, Some(&sample()), Some("trouble"));
            drawn(width, height, None, None);
        }
    }
}
