//! The pages of a database file, read without SQLite: of a private copy, which nobody writes to.
//!
//! The format is that of <https://www.sqlite.org/fileformat2.html>. Nothing is taken on trust: an offset that leads out of a
//! page, or a page that is not where it should be, gives `None`, and SQLite then reads the table and says what is wrong.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// How many bytes are read at once where pages follow each other.
const BLOCK: usize = 64 << 10;

/// More bytes than a value may have, so that SQLite is asked to refuse it.
const MOST_PAYLOAD: usize = 256 << 20;

/// A database file, and the pages of it that were read last.
pub(super) struct PageFile<'f> {
    plain: Pages<'f>,
    /// How many pages there are.
    pub count: u32,
    block: Vec<u8>,
    /// The pages in the block.
    held: Range<u32>,
}

/// The pages of a file.
#[derive(Clone, Copy)]
pub(super) struct Pages<'f> {
    file: &'f File,
    /// The bytes of a page.
    size: usize,
    /// Those of them that hold anything.
    usable: usize,
}

/// A page of a table's tree.
pub(super) enum Node<'p> {
    /// It holds rows.
    Leaf(Leaf<'p>),
    /// It leads to other pages, in the order of their rows.
    Interior(Vec<u32>),
}

/// A page of rows.
pub(super) struct Leaf<'p> {
    page: &'p [u8],
    usable: usize,
    /// How many rows there are.
    pub rows: usize,
}

/// A row as it lies in a page.
pub(super) struct Cell<'p> {
    pub rowid: i64,
    /// What of the record lies in the page: all of it, unless more follows elsewhere.
    pub local: &'p [u8],
    /// The length of the whole record and the page that it goes on in.
    pub overflow: Option<(usize, u32)>,
}

impl<'f> PageFile<'f> {
    /// Looks at a file's header; `None` for one that is to be left to SQLite: damaged, with a log, or with UTF-16 in it.
    pub fn new(file: &'f File) -> Option<Self> {
        let mut header = [0; super::file_copy::HEADER];
        file.read_exact_at(&mut header, 0).ok()?;
        let size = super::file_copy::page_size(&header);
        let is_known = header.starts_with(b"SQLite format 3\0") && size.is_power_of_two() && size >= 512;
        let has_no_log = header[18..20] == [1, 1];
        let is_utf8 = header[56..60] == [0, 0, 0, 1];
        if !is_known || !has_no_log || !is_utf8 {
            return None;
        }
        let usable = size - usize::from(header[20]);
        let count = u32::try_from(file.metadata().ok()?.len() / size as u64).ok()?;
        let plain = Pages { file, size, usable };
        (usable >= 480).then(|| Self { plain, count, block: Vec::new(), held: 0..0 })
    }

    /// Returns the file's pages, to be read beside those that are held.
    pub fn plain(&self) -> Pages<'f> {
        self.plain
    }

    /// Reads a page of a table's tree.
    pub fn node(&mut self, number: u32) -> Option<Node<'_>> {
        let usable = self.plain.usable;
        let page = self.page(number)?;
        let cells = usize::from(u16_at(page, 3)?);
        match page.first()? {
            13 => Some(Node::Leaf(Leaf { page, usable, rows: cells })),
            5 => {
                let mut children = Vec::with_capacity(cells + 1);
                for cell in 0..cells {
                    children.push(u32_at(page, usize::from(u16_at(page, 12 + 2 * cell)?))?);
                }
                children.push(u32_at(page, 8)?);
                Some(Node::Interior(children))
            }
            _ => None,
        }
    }

    fn page(&mut self, number: u32) -> Option<&[u8]> {
        let size = self.plain.size;
        if !self.held.contains(&number) {
            // Where pages follow each other the next ones are read along.
            let follows = number >= self.held.end && u64::from(number - self.held.end) < 4;
            let wanted = if follows { (BLOCK / size).max(1) as u32 } else { 1 };
            let count = wanted.min(self.count.saturating_sub(number.checked_sub(1)?));
            let mut block = std::mem::take(&mut self.block);
            block.resize(count as usize * size, 0);
            self.held = 0..0;
            let read = self.plain.read(number, &mut block);
            self.block = block;
            read?;
            self.held = number..number + count;
        }
        let start = (number - self.held.start) as usize * size;
        self.block.get(start..start + size)
    }
}

impl Pages<'_> {
    /// Puts a record together that goes on outside its page.
    pub fn whole(&self, local: &[u8], (length, first): (usize, u32), out: &mut Vec<u8>) -> Option<()> {
        out.clear();
        out.extend_from_slice(local);
        let mut next = first;
        let mut page = vec![0; self.size];
        while out.len() < length {
            self.read(next, &mut page)?;
            next = u32_at(&page, 0)?;
            let part = (length - out.len()).min(self.usable - 4);
            out.extend_from_slice(page.get(4..4 + part)?);
        }
        Some(())
    }

    /// Reads from the start of a page on; the first has the number 1.
    fn read(&self, number: u32, out: &mut [u8]) -> Option<()> {
        let offset = u64::from(number.checked_sub(1)?) * self.size as u64;
        self.file.read_exact_at(out, offset).ok()
    }
}

impl<'p> Leaf<'p> {
    /// Reads a row's cell.
    #[inline]
    pub fn cell(&self, number: usize) -> Option<Cell<'p>> {
        let at = usize::from(u16_at(self.page, 8 + 2 * number)?);
        let (length, at) = varint(self.page, at)?;
        let (rowid, at) = varint(self.page, at)?;
        let length = usize::try_from(length).ok().filter(|&length| length <= MOST_PAYLOAD)?;
        let rowid = rowid.cast_signed();
        let most = self.usable - 35;
        if length <= most {
            return Some(Cell { rowid, local: self.page.get(at..at + length)?, overflow: None });
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let fits = least + (length - least) % (self.usable - 4);
        let local = if fits <= most { fits } else { least };
        let next = u32_at(self.page, at + local)?;
        Some(Cell { rowid, local: self.page.get(at..at + local)?, overflow: Some((length, next)) })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Reads an integer of one to nine bytes, seven bits each but for the last, and where it ends.
#[inline]
pub(super) fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    match bytes.get(at)? {
        &byte @ 0..=127 => Some((byte.into(), at + 1)),
        _ => long_varint(bytes, at),
    }
}

fn long_varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for (number, &byte) in bytes.get(at..)?.iter().take(9).enumerate() {
        if number == 8 {
            return Some((value << 8 | u64::from(byte), at + 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((value, at + number + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_one_to_nine_bytes() {
        for (bytes, value) in [
            (&[0x7f][..], 127),
            (&[0x81, 0], 128),
            (&[0xff, 0x7f], 16_383),
            (&[0xff; 9], u64::MAX),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 5], 5),
        ] {
            assert_eq!(varint(bytes, 0), Some((value, bytes.len())));
            assert_eq!(varint(&bytes[..bytes.len() - 1], 0), None, "it is cut off");
        }
        assert_eq!(varint(&[], 3), None);
    }
}
