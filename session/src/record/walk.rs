//! Finds the end of a MessagePack value without decoding it, and without recursion: hostile bytes
//! can neither overflow the stack nor make it allocate.

use rmp::Marker;

/// How deep values may be nested. Far below what overflows a small stack while decoding: rmp-serde's
/// own limit of 1024 aborts a debug build on a 2 MiB thread.
pub(crate) const MAX_DEPTH: usize = 64;

/// Whether `bytes` is one MessagePack value, whole, nothing after it, at most [`MAX_DEPTH`] deep.
pub(crate) fn is_one_value(bytes: &[u8]) -> bool {
    let mut walk = Walk::new(bytes);
    walk.skip_value().is_some() && walk.is_at_end()
}

/// A place in a buffer that moves forward value by value. Every method gives `None` when the bytes
/// are not what it looks for.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Walk { bytes, position: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.position == self.bytes.len()
    }

    /// Passes exactly `expected`.
    pub(super) fn literal(&mut self, expected: &[u8]) -> Option<()> {
        (self.take(expected.len())? == expected).then_some(())
    }

    /// Passes an unsigned integer written with all its four bytes.
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.literal(&[Marker::U32.to_u8()])?;
        self.number()
            .map(|bytes: [u8; 4]| u32::from_be_bytes(bytes))
    }

    /// Passes an unsigned integer written with all its eight bytes.
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.literal(&[Marker::U64.to_u8()])?;
        self.number()
            .map(|bytes: [u8; 8]| u64::from_be_bytes(bytes))
    }

    /// Passes `count` bytes.
    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }

    /// Passes an unsigned integer of one byte, up to 127.
    pub(super) fn positive_fixint(&mut self) -> Option<u8> {
        match self.marker()? {
            Marker::FixPos(number) => Some(number),
            _ => None,
        }
    }

    /// Passes exactly `expected`; false, and stays, when something else comes next.
    pub(super) fn optional_literal(&mut self, expected: &[u8]) -> bool {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let is_next = rest.starts_with(expected);
        self.position += if is_next { expected.len() } else { 0 };
        is_next
    }

    /// Passes binary data and gives its content.
    pub(super) fn binary(&mut self) -> Option<&'a [u8]> {
        let length = match self.marker()? {
            Marker::Bin8 => self.length8()?,
            Marker::Bin16 => self.length16()?,
            Marker::Bin32 => self.length32()?,
            _ => return None,
        };
        self.take(length)
    }

    /// Passes the head of a map and gives its number of entries.
    pub(super) fn map(&mut self) -> Option<usize> {
        match self.marker()? {
            Marker::FixMap(length) => Some(usize::from(length)),
            Marker::Map16 => self.length16(),
            Marker::Map32 => self.length32(),
            _ => None,
        }
    }

    /// Passes a string and gives its content.
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = match self.marker()? {
            Marker::FixStr(length) => usize::from(length),
            Marker::Str8 => self.length8()?,
            Marker::Str16 => self.length16()?,
            Marker::Str32 => self.length32()?,
            _ => return None,
        };
        self.take(length)
    }

    /// Passes one value of any kind.
    pub(super) fn skip_value(&mut self) -> Option<()> {
        // How many values are still to come on each level that has been opened.
        let mut open = [0_usize; MAX_DEPTH + 1];
        let mut depth = 0;
        open[0] = 1;
        loop {
            while open[depth] == 0 {
                if depth == 0 {
                    return Some(());
                }
                depth -= 1;
            }
            open[depth] -= 1;
            let children = self.head()?;
            if children > 0 {
                depth += 1;
                *open.get_mut(depth)? = children;
            }
        }
    }

    /// Passes a scalar whole, or the head of an array or map; gives how many values follow in it.
    fn head(&mut self) -> Option<usize> {
        let content = match self.marker()? {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => {
                0
            }
            Marker::U8 | Marker::I8 => 1,
            Marker::U16 | Marker::I16 | Marker::FixExt1 => 2,
            Marker::U32 | Marker::I32 | Marker::F32 => 4,
            Marker::U64 | Marker::I64 | Marker::F64 => 8,
            Marker::FixStr(length) => usize::from(length),
            Marker::Str8 | Marker::Bin8 => self.length8()?,
            Marker::Str16 | Marker::Bin16 => self.length16()?,
            Marker::Str32 | Marker::Bin32 => self.length32()?,
            // An extension's content is its type, one byte, and its data.
            Marker::FixExt2 => 3,
            Marker::FixExt4 => 5,
            Marker::FixExt8 => 9,
            Marker::FixExt16 => 17,
            Marker::Ext8 => self.length8()? + 1,
            Marker::Ext16 => self.length16()? + 1,
            Marker::Ext32 => self.length32()?.checked_add(1)?,
            Marker::FixArray(length) => return Some(usize::from(length)),
            Marker::Array16 => return self.length16(),
            Marker::Array32 => return self.length32(),
            Marker::FixMap(length) => return Some(usize::from(length) * 2),
            Marker::Map16 => return Some(self.length16()? * 2),
            Marker::Map32 => return self.length32()?.checked_mul(2),
            Marker::Reserved => return None,
        };
        self.take(content)?;
        Some(0)
    }

    fn marker(&mut self) -> Option<Marker> {
        self.take(1).map(|byte| Marker::from_u8(byte[0]))
    }

    fn length8(&mut self) -> Option<usize> {
        self.take(1).map(|byte| usize::from(byte[0]))
    }

    fn length16(&mut self) -> Option<usize> {
        self.number()
            .map(|bytes: [u8; 2]| usize::from(u16::from_be_bytes(bytes)))
    }

    fn length32(&mut self) -> Option<usize> {
        self.number()
            .and_then(|bytes: [u8; 4]| usize::try_from(u32::from_be_bytes(bytes)).ok())
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.position.checked_add(count)?;
        let bytes = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(bytes)
    }
}
