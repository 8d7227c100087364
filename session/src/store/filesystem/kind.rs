//! What kind of file system a folder is on (statfs(2)).

/// The kind of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FsKind {
    /// On a disk or in the memory of this machine.
    Local,
    /// The same, and a name keeps its place in its folder when its file is replaced.
    LocalInPlace,
    /// Its files are on another machine, or another program makes them.
    Network,
    Unknown,
}

const LOCAL_IN_PLACE: [u32; 2] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
];

const LOCAL: [u32; 5] = [
    0x9123_683e, // Btrfs
    0x0102_1994, // tmpfs
    0xf2f5_2010, // F2FS
    0x794c_7630, // OverlayFS
    0x2fc1_2fc1, // ZFS
];

const NETWORK: [u32; 12] = [
    0x6969,      // NFS
    0x517b,      // SMB
    0xfe53_4d42, // SMB2
    0xff53_4d42, // CIFS
    0x6573_5546, // FUSE
    0x0102_1997, // 9P
    0x00c3_6400, // Ceph
    0x5346_414f, // AFS
    0x7375_7245, // Coda
    0x0bd0_0bd0, // Lustre
    0x0116_1970, // GFS2
    0x7461_636f, // OCFS2
];

impl FsKind {
    /// By the number that Linux has for the file system. The numbers of other systems are small ones of
    /// another meaning, so that there every kind is unknown.
    ///
    /// The number's type differs between platforms, in sign and width: its 32 lower bits are what counts.
    pub(super) fn of(number: impl Into<i128>) -> Self {
        let Ok(number) = u32::try_from(number.into() & 0xffff_ffff) else {
            return FsKind::Unknown;
        };
        if LOCAL_IN_PLACE.contains(&number) {
            FsKind::LocalInPlace
        } else if LOCAL.contains(&number) {
            FsKind::Local
        } else if NETWORK.contains(&number) {
            FsKind::Network
        } else {
            FsKind::Unknown
        }
    }

    // Reads without blocking (preadv2(2)) are Linux's only.
    #[cfg(any(target_os = "linux", test))]
    pub(super) fn is_local(self) -> bool {
        matches!(self, FsKind::Local | FsKind::LocalInPlace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_told_from_local_ones() {
        // CIFS's number where the type is signed and has 32 bits.
        for network in [0x6969_i64, 0xfe53_4d42, 0x6573_5546, -11_317_950] {
            assert_eq!(FsKind::of(network), FsKind::Network, "{network:x}");
        }
        for local in [0xef53_i64, 0x9123_683e, 0x0102_1994] {
            assert!(FsKind::of(local).is_local(), "{local:x}");
        }
        assert_eq!(FsKind::of(0x1234), FsKind::Unknown);
    }
}
