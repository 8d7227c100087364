//! A file system that only exists in memory, can lose power, and can fail.
//!
//! The model is ALICE's (Pillai et al., OSDI '14): what has been synced is there; of everything since
//! then, any part. Bytes that were not synced can be absent, cut short, or zeros; names that were
//! not synced can be any of those they have been.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::fs::{Content, FileSystem};
use super::super::names::OwnerName;
use crate::{SessionKey, Timestamp};

#[derive(Clone, Default)]
pub(super) struct SimulatedFs(Arc<Mutex<State>>);

#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) inodes: Vec<Inode>,
    /// Every set of names there has been since the last sync of the folder, the latest last.
    folders: Vec<BTreeMap<String, usize>>,
    /// The owner index, each of whose entries is synced when it is added.
    pub(super) index: BTreeSet<(String, SessionKey)>,
    pub(super) operations: usize,
    pub(super) folder_syncs: usize,
    /// The operation with this number fails.
    pub(super) fails_at: Option<usize>,
    /// After the operation with this number the power is cut: nothing happens any more.
    pub(super) cut_after: Option<usize>,
    /// Files that may not be opened.
    pub(super) forbidden: BTreeSet<String>,
    /// Mutants: what a careless store leaves out.
    pub(super) no_data_sync: bool,
    pub(super) no_folder_sync: bool,
    /// A file system that cannot exchange names.
    pub(super) no_exchange: bool,
    /// What the next read of a file gives, as if it was opened a while ago.
    pub(super) outdated: Option<Vec<u8>>,
    /// Runs before the next sync of the folder, as another process may do something then.
    pub(super) before_sync: Option<fn(&SimulatedFs)>,
}

#[derive(Clone, Default)]
pub(super) struct Inode {
    /// Every content there has been since the last sync, the latest last.
    contents: Vec<Vec<u8>>,
    /// What was written and not synced, of which any part may be there.
    unsynced: Vec<Vec<u8>>,
}

impl Inode {
    pub(super) fn latest(&self) -> &[u8] {
        self.contents.last().map_or(&[], Vec::as_slice)
    }
}

impl State {
    pub(super) fn names(&self) -> BTreeMap<String, usize> {
        self.folders.last().cloned().unwrap_or_default()
    }

    /// Counts an operation; says whether it is carried out.
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.fails_at == Some(self.operations) {
            return Err(io::Error::other("broken on purpose"));
        }
        if self.cut_after.is_some_and(|last| self.operations > last) {
            return Err(io::Error::other("no power"));
        }
        Ok(())
    }

    fn open(&self, name: &str) -> io::Result<Option<usize>> {
        if self.forbidden.contains(name) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(self.names().get(name).copied())
    }

    /// Every state the disk may be in when power comes back: each pair of a set of names and, for
    /// each file, a content.
    pub(super) fn after_power_cut(&self) -> Vec<HashMap<String, Vec<u8>>> {
        let mut states = Vec::new();
        let folders = if self.folders.is_empty() {
            vec![BTreeMap::new()]
        } else {
            self.folders.clone()
        };
        for names in folders {
            let mut partial: Vec<HashMap<String, Vec<u8>>> = vec![HashMap::new()];
            for (name, inode) in &names {
                let mut next = Vec::new();
                for content in possible_contents(&self.inodes[*inode]) {
                    for state in &partial {
                        let mut state = state.clone();
                        state.insert(name.clone(), content.clone());
                        next.push(state);
                    }
                }
                partial = next;
            }
            states.extend(partial);
        }
        states
    }
}

fn possible_contents(inode: &Inode) -> Vec<Vec<u8>> {
    let mut contents = inode.contents.clone();
    for unsynced in &inode.unsynced {
        contents.push(vec![0; unsynced.len()]);
        contents.push(unsynced[..unsynced.len() / 2].to_vec());
        contents.push(unsynced[..unsynced.len() - 1].to_vec());
    }
    contents
}

impl SimulatedFs {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Counts an operation that is carried out.
    fn step(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.step()?;
        Ok(state)
    }
}

impl FileSystem for SimulatedFs {
    type File = usize;
    type Names = std::vec::IntoIter<io::Result<Vec<u8>>>;

    fn read(&self, name: &str) -> io::Result<Content> {
        let mut state = self.step()?;
        if let Some(outdated) = state.outdated.take() {
            return Ok(Content::Bytes(outdated));
        }
        Ok(match state.open(name)? {
            Some(inode) => Content::Bytes(state.inodes[inode].latest().to_vec()),
            None => Content::Missing,
        })
    }

    fn open(&self, name: &str) -> io::Result<(Content, Option<usize>)> {
        let content = self.read(name)?;
        Ok((content, self.state().open(name)?))
    }

    fn has_other_links(&self, _file: &usize) -> io::Result<bool> {
        Ok(false)
    }

    fn create(&self, name: &str) -> io::Result<usize> {
        let mut state = self.step()?;
        let inode = state.inodes.len();
        state.inodes.push(Inode {
            contents: vec![Vec::new()],
            unsynced: Vec::new(),
        });
        let mut names = state.names();
        assert!(names.insert(name.to_owned(), inode).is_none());
        state.folders.push(names);
        Ok(inode)
    }

    fn reopen(&self, name: &str) -> io::Result<Option<usize>> {
        self.step()?.open(name)
    }

    fn write(&self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.step()?;
        let inode = &mut state.inodes[*file];
        inode.contents.push(bytes.to_vec());
        inode.unsynced.push(bytes.to_vec());
        Ok(())
    }

    fn overwrite(&self, file: &usize, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.step()?;
        let mut content = state.inodes[*file].latest().to_vec();
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
        // Within one sector: the old bytes or the new ones, whenever the power goes.
        assert!(offset + bytes.len() <= 512);
        state.inodes[*file].contents.push(content);
        Ok(())
    }

    fn zero(&self, file: &usize) -> io::Result<()> {
        let length = self.state().inodes[*file].latest().len();
        self.write(&mut file.clone(), &vec![0; length])
    }

    fn sync_data(&self, file: &usize) -> io::Result<()> {
        let mut state = self.step()?;
        if !state.no_data_sync {
            let inode = &mut state.inodes[*file];
            inode.contents = vec![inode.latest().to_vec()];
            inode.unsynced.clear();
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.step()?;
        let mut names = state.names();
        let inode = names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        names.insert(to.to_owned(), inode);
        state.folders.push(names);
        Ok(())
    }

    fn rename_to_free(&self, from: &str, to: &str) -> io::Result<()> {
        if self.state().names().contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename(from, to)
    }

    fn exchange(&self, one: &str, other: &str) -> io::Result<bool> {
        let mut state = self.step()?;
        if state.no_exchange {
            return Ok(false);
        }
        let mut names = state.names();
        let first = names.remove(one).ok_or(io::ErrorKind::NotFound)?;
        let second = names.insert(other.to_owned(), first);
        names.insert(one.to_owned(), second.ok_or(io::ErrorKind::NotFound)?);
        state.folders.push(names);
        Ok(true)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.step()?;
        let mut names = state.names();
        names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.folders.push(names);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let before_sync = self.state().before_sync.take();
        if let Some(before_sync) = before_sync {
            before_sync(self);
        }
        let mut state = self.step()?;
        state.folder_syncs += 1;
        if !state.no_folder_sync {
            let names = state.names();
            state.folders = vec![names];
        }
        Ok(())
    }

    fn names(&self) -> io::Result<Self::Names> {
        let names = self.step()?.names().into_keys();
        Ok(listed(names))
    }

    fn status(&self, name: &str) -> io::Result<Option<(u64, Timestamp)>> {
        let state = self.step()?;
        let inode = state.open(name)?.map(|inode| &state.inodes[inode]);
        Ok(inode.map(|inode| (inode.latest().len() as u64, Timestamp::default())))
    }

    fn index_add(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<()> {
        let mut state = self.step()?;
        state.index.insert((owner.as_str().to_owned(), *key));
        Ok(())
    }

    fn index_add_unsynced(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<()> {
        self.index_add(owner, key)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.step().map(drop)
    }

    fn index_has(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<bool> {
        let state = self.step()?;
        Ok(state.index.contains(&(owner.as_str().to_owned(), *key)))
    }

    fn index_remove(&self, owner: &OwnerName, key: &SessionKey) -> io::Result<()> {
        let mut state = self.step()?;
        state.index.remove(&(owner.as_str().to_owned(), *key));
        Ok(())
    }

    fn index_entries(&self, owner: &OwnerName) -> io::Result<Self::Names> {
        let state = self.step()?;
        let of_owner = state
            .index
            .iter()
            .filter(|(name, _)| name == owner.as_str());
        Ok(listed(of_owner.map(|(_, key)| key.to_string())))
    }

    fn index_owners(&self) -> io::Result<Self::Names> {
        let owners: BTreeSet<_> = self
            .step()?
            .index
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        Ok(listed(owners.into_iter()))
    }
}

fn listed(names: impl Iterator<Item = String>) -> std::vec::IntoIter<io::Result<Vec<u8>>> {
    let names: Vec<_> = names.map(|name| Ok(name.into_bytes())).collect();
    names.into_iter()
}
