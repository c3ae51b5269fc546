//! What was taken out of service and is removed later (`file.delete.delay.ms`): files of segments, and directories. Owning core only.
//!
//! It costs nothing but its space and a place in here: no file is open for it, and nobody finds it by a name that the log knows.
//!
//! Invariant: what is in here has its last name already, by which a start knows that it may go; and it is bounded: for one too many
//! the one that is due first goes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{At, DELETED, FileKind, Files, PartitionDir, StoreError, ignore_missing};
use crate::runtime::Runtime;
use crate::types::{Mono, Offset, PartitionId};

/// Segments and directories that wait on a core at once: some 3 MB of memory. Of segments as large as they are by default that
/// would be 16 TB.
const WAITING_MAX: usize = 16_384;
/// Instead of a cleaning's number, for segments that the log gave up and compaction did not replace.
pub(super) const NOT_REPLACED: u64 = 0;

/// What waits.
#[derive(Debug)]
pub(super) enum Aside {
    /// The files of a segment, under the names that `FileKind::deleted_name` gives them.
    Segment { dir: PartitionDir, base: Offset, cleaning: u64 },
    /// All of a partition whose topic was deleted.
    Directory { path: PathBuf },
}

/// Ordered by when it is due, and then as it came.
type Turn = (Mono, u64);

#[derive(Debug, Default)]
pub(super) struct Waiting {
    due: BTreeMap<Turn, Aside>,
    segments: BTreeMap<(PartitionId, Offset, u64), Turn>,
    next: u64,
}

impl Waiting {
    /// Takes one up; gives the one back that must go for it.
    fn add(&mut self, at: Mono, aside: Aside) -> Option<Aside> {
        let turn = (at, self.next);
        self.next += 1;
        if let Aside::Segment { dir, base, cleaning } = &aside
            && let Some(before) = self.segments.insert((dir.id, *base, *cleaning), turn)
        {
            // Its files were set aside in several tries.
            self.due.remove(&before);
        }
        self.due.insert(turn, aside);
        if self.due.len() > WAITING_MAX { self.take_first(Mono::FAR) } else { None }
    }

    /// The one that has waited long enough by `now` and is due first.
    fn take_first(&mut self, now: Mono) -> Option<Aside> {
        let first = self.due.first_entry().filter(|first| first.key().0 <= now)?;
        let aside = first.remove();
        if let Aside::Segment { dir, base, cleaning } = &aside {
            self.segments.remove(&(dir.id, *base, *cleaning));
        }
        Some(aside)
    }

    /// The segments of a partition go with its directory.
    pub(super) fn forget(&mut self, id: PartitionId) {
        let all = (id, Offset(i64::MIN), 0)..=(id, Offset(i64::MAX), u64::MAX);
        while let Some((segment, turn)) = self.segments.range(all.clone()).next() {
            let (segment, turn) = (*segment, *turn);
            self.segments.remove(&segment);
            self.due.remove(&turn);
        }
    }

    /// Whether a file of this name in the partition's directory is one that waits.
    pub(super) fn has(&self, id: PartitionId, name: &str) -> bool {
        FileKind::of_deleted(name).is_some_and(|(base, cleaning)| self.segments.contains_key(&(id, base, cleaning)))
    }
}

impl FileKind {
    /// What the file of a segment is called once it is out of service, because `cleaning` replaced it or because the log gave it up
    /// ([`NOT_REPLACED`]). No two files of a partition get the same one: offsets and numbers are given once.
    pub(super) fn deleted_name(self, base: Offset, cleaning: u64) -> String {
        match cleaning {
            NOT_REPLACED => format!("{}{DELETED}", self.name(base)),
            _ => format!("{}.{cleaning}{DELETED}", self.name(base)),
        }
    }

    /// The segment, and the cleaning that replaced it, of a file that is called so.
    fn of_deleted(name: &str) -> Option<(Offset, u64)> {
        let name = name.strip_suffix(DELETED)?;
        if let Some((_, base)) = FileKind::of(name) {
            return Some((base, NOT_REPLACED));
        }
        let (name, cleaning) = name.rsplit_once('.')?;
        Some((FileKind::of(name)?.1, cleaning.parse().ok()?))
    }
}

impl<R: Runtime> Files<R> {
    /// It has its last name: from now on it waits for so long. Without a delay it goes at once.
    pub(super) async fn let_wait(&self, aside: Aside, delay: Duration) -> Result<(), StoreError> {
        let goes = if delay.is_zero() {
            Some(aside)
        } else {
            let at = self.rt.now().after(delay);
            self.waiting.borrow_mut().add(at, aside)
        };
        match goes {
            Some(goes) => self.unlink(&goes).await,
            None => Ok(()),
        }
    }

    /// When the next one is due, if any waits.
    pub fn next_removal(&self) -> Option<Mono> {
        self.waiting.borrow().due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Removes one that is due by `now`; `None` if there is none.
    pub async fn remove_due(&self, now: Mono) -> Option<Result<(), StoreError>> {
        let due = self.waiting.borrow_mut().take_first(now)?;
        Some(self.unlink(&due).await)
    }

    /// What fails to go is in nobody's way but for its space, and the next start removes it.
    async fn unlink(&self, aside: &Aside) -> Result<(), StoreError> {
        match aside {
            Aside::Directory { path } => ignore_missing(self.rt.remove_dir_all(path).await).at(path),
            Aside::Segment { dir, base, cleaning } => {
                for kind in [FileKind::Log, FileKind::Index] {
                    // The directory may have gone aside, and its name be another topic's by now.
                    if self.removed.contains(dir.id) {
                        return Ok(());
                    }
                    let path = self.root.join(dir.name()).join(kind.deleted_name(*base, *cleaning));
                    ignore_missing(self.rt.remove_file(&path).await).at(&path)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TopicId;

    fn segment(topic: u8, base: i64, cleaning: u64) -> Aside {
        let id = PartitionId { topic: TopicId([topic; 16]), index: 0 };
        Aside::Segment { dir: PartitionDir { id, topic_name: "t".into() }, base: Offset(base), cleaning }
    }

    fn base_of(aside: Option<Aside>) -> Option<i64> {
        match aside? {
            Aside::Segment { base, .. } => Some(base.0),
            Aside::Directory { .. } => None,
        }
    }

    #[test]
    fn names_of_what_was_taken_out_of_service_tell_segment_and_cleaning() {
        for (cleaning, name) in
            [(NOT_REPLACED, "00000000000000000005.log.deleted"), (12, "00000000000000000005.log.12.deleted")]
        {
            assert_eq!(FileKind::Log.deleted_name(Offset(5), cleaning), name);
            for kind in [FileKind::Log, FileKind::Index] {
                assert_eq!(FileKind::of_deleted(&kind.deleted_name(Offset(5), cleaning)), Some((Offset(5), cleaning)));
            }
        }
        for other in ["00000000000000000005.log", "5.log.deleted", "00000000000000000005.log.x.deleted", ".deleted"] {
            assert_eq!(FileKind::of_deleted(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_due_first_goes_first_whatever_order_it_came_in() {
        let mut waiting = Waiting::default();
        for (at, base) in [(30, 1), (10, 2), (20, 3), (10, 4)] {
            assert!(waiting.add(Mono(at), segment(1, base, NOT_REPLACED)).is_none());
        }
        assert_eq!(base_of(waiting.take_first(Mono(9))), None);
        let order: Vec<i64> = std::iter::from_fn(|| base_of(waiting.take_first(Mono(20)))).collect();
        assert_eq!(order, [2, 4, 3]);
        assert_eq!(base_of(waiting.take_first(Mono(30))), Some(1));
        assert!(waiting.segments.is_empty());
    }

    #[test]
    fn for_one_too_many_the_one_goes_that_would_go_first() {
        let mut waiting = Waiting::default();
        let most = i64::try_from(WAITING_MAX).expect("small");
        for base in 0..most {
            let at = Mono(u64::try_from(base).expect("positive") + 100);
            assert!(waiting.add(at, segment(1, base, NOT_REPLACED)).is_none());
        }
        assert_eq!(base_of(waiting.add(Mono(1_000_000), segment(1, most, NOT_REPLACED))), Some(0));
        assert_eq!((waiting.due.len(), waiting.segments.len()), (WAITING_MAX, WAITING_MAX));
    }

    #[test]
    fn segments_that_wait_are_known_by_name_until_their_partition_is_forgotten() {
        let id = |topic| PartitionId { topic: TopicId([topic; 16]), index: 0 };
        let mut waiting = Waiting::default();
        for (topic, base, cleaning) in [(1, 0, NOT_REPLACED), (1, 0, 3), (2, 0, NOT_REPLACED)] {
            assert!(waiting.add(Mono(5), segment(topic, base, cleaning)).is_none());
        }
        // In a second try.
        assert!(waiting.add(Mono(6), segment(1, 0, 3)).is_none());
        assert_eq!(waiting.due.len(), 3);
        let names = [NOT_REPLACED, 3, 4].map(|cleaning| FileKind::Log.deleted_name(Offset(0), cleaning));
        assert_eq!(names.each_ref().map(|name| waiting.has(id(1), name)), [true, true, false]);
        waiting.forget(id(1));
        assert_eq!(names.each_ref().map(|name| waiting.has(id(1), name)), [false; 3]);
        assert!(waiting.has(id(2), &names[0]) && waiting.due.len() == 1);
    }
}
