//! Room `publish`: snapshots become trees that any web server can serve, switched in one rename. See docs/design.md §6.
//!
//! Every place has two trees. The one that nobody sees is brought from what it holds to what is wanted, synced, and swapped
//! in; when a command publishes several repositories, all are built first and swapped together. A tree carries a list of
//! what it holds, which goes before the first change and comes after the last: a tree without one is thrown away. So any
//! call may be killed at any point and run again.

mod change;
mod job;
mod list;
mod outcome;
mod page;
mod plan;
mod rot;
mod switch;
mod tree;

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::PathBuf,
};

use chantal_contract::{Format, FormatError, Header};
use jiff::Timestamp;

pub use crate::config::{Link, Switch};
pub use outcome::{Change, Listing, Notice, Outcome, PublishError, Standing, Turn};

use job::Job;
use list::List;
use rot::Suspects;
use switch::{Spot, TREES};

use crate::{
    report::{Event, Reporter},
    store::{self, Address, Lock, LockGuard, Name, PublishedRow, Recorded, StateRef, Store},
};

/// Where and how trees are published.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The published directory.
    pub root: PathBuf,
    /// How payloads get there.
    pub link: Link,
    /// How trees are switched.
    pub switch: Switch,
    /// The address under which clients reach the published directory, without a trailing slash.
    pub base: String,
}

/// What is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// A repository's newest state, or a named snapshot.
    pub address: Address,
    /// Where its newest state is published below the published directory: its name, or what the configuration says.
    pub path: String,
}

impl Request {
    /// Returns the tree's path below the published directory.
    pub fn target(&self) -> String {
        match &self.address.snapshot {
            Some(name) => format!("snapshots/{}/{name}", self.address.repository),
            None => self.path.clone(),
        }
    }
}

/// Makes the format that a snapshot's header describes.
pub type Formats<'a> = dyn Fn(&Header) -> Result<Box<dyn Format>, FormatError> + 'a;

/// Publishes what a store holds.
pub struct Publisher<'a> {
    /// The store.
    pub store: &'a Store,
    /// Where and how.
    pub settings: &'a Settings,
    /// Makes formats.
    pub formats: &'a Formats<'a>,
    /// Told of the work.
    pub reporter: &'a dyn Reporter,
    /// When it is.
    pub at: Timestamp,
}

/// What became of one request.
pub type Published = Result<Outcome, PublishError>;

/// What stands before anything is built.
struct Begun {
    _locks: Vec<LockGuard>,
    rows: Vec<PublishedRow>,
    /// For each request, why it is not even begun.
    refused: Vec<Option<PublishError>>,
}

/// A tree that is built and waits for its turn.
struct Ready {
    outcome: Outcome,
    spot: Spot,
    state: StateRef,
}

impl Publisher<'_> {
    /// Says what [`Self::publish`] would do; touches nothing.
    pub fn plan(&self, requests: &[Request]) -> Result<Vec<Published>, PublishError> {
        let begun = self.begin(requests)?;
        let ready = self.prepare_all(requests, begun.refused, &begun.rows, Turn::Planned)?.1;
        Ok(outcomes(ready))
    }

    /// Publishes and says, in the requests' order, what became of each.
    ///
    /// All trees are switched together, once all are built; one that cannot be published holds no other back. Fails as a
    /// whole where nothing can be published, and where the page that lists all trees cannot be written.
    pub fn publish(&self, requests: &[Request]) -> Result<Vec<Published>, PublishError> {
        let begun = self.begin(requests)?;
        let (suspects, mut all) = self.prepare_all(requests, begun.refused, &begun.rows, Turn::Switched)?;
        let switched = |ready: &Ready| ready.outcome.turn == Turn::Switched;
        each(&mut all, |r| if switched(r) { r.spot.turn() } else { Ok(()) });
        each(&mut all, |r| if switched(r) { r.spot.settle() } else { Ok(()) });
        each(&mut all, |ready| {
            // What was seen until now stands by: damaged files in it must not come back.
            let spot = Spot::find(&self.settings.root, &ready.outcome.target, self.settings.switch)?;
            suspects.sweep(&spot.standby())
        });
        each(&mut all, |ready| self.record(ready, &begun.rows));
        self.write_root()?;
        Ok(outcomes(all))
    }

    /// Lists what is published, sorted by place.
    pub fn list(&self) -> Result<Vec<Listing>, PublishError> {
        let suspects = Suspects::of(self.store.pool())?;
        let mut listings = Vec::new();
        for row in self.store.catalog().published()? {
            let standing = match Spot::find(&self.settings.root, &row.target, self.settings.switch) {
                Ok(spot) => match spot
                    .live()
                    .filter(|live| live.is_dir())
                    .map(|live| (List::head(&live), suspects.count(&live)))
                {
                    None => Standing::Gone,
                    Some((_, Ok(files @ 1..))) => Standing::Damaged { files },
                    Some((Ok(Some(list)), _)) if list.manifest == row.state.manifest => Standing::Right,
                    Some(_) => Standing::Other,
                },
                Err(_) => Standing::Other,
            };
            let newest = self.store.catalog().newest(&row.repository)?;
            let outdated =
                row.name.is_none() && newest.is_some_and(|n| n.state.manifest != row.state.manifest);
            listings.push(Listing {
                url: self.url(&row.target),
                address: Address { repository: row.repository, snapshot: row.name },
                manifest: row.state.manifest,
                date: row.state.date,
                valid_until: row.state.valid_until,
                at: row.at,
                target: row.target,
                standing,
                outdated,
            });
        }
        listings.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(listings)
    }

    /// Finds a tree by its place below the published directory or, where only one shows it, by its address.
    pub fn find(&self, asked: &str) -> Result<PublishedRow, PublishError> {
        let rows = self.store.catalog().published()?;
        if let Some(row) = rows.iter().find(|row| row.target == asked) {
            return Ok(row.clone());
        }
        let shown: Vec<&PublishedRow> = rows.iter().filter(|r| r.address().to_string() == asked).collect();
        match shown.as_slice() {
            [row] => Ok((*row).clone()),
            [] => {
                let has = rows.iter().map(|r| format!("`{}`", r.address())).collect();
                Err(PublishError::NotPublished { asked: asked.into(), has })
            }
            several => {
                let at = several.iter().map(|r| format!("`{}`", r.target)).collect();
                Err(PublishError::Several { asked: asked.into(), at })
            }
        }
    }

    /// Takes a tree away; `asked` is what [`Self::find`] takes.
    pub fn unpublish(&self, asked: &str) -> Result<String, PublishError> {
        let row = self.find(asked)?;
        let _locks = self.locks(&row.repository)?;
        Spot::find(&self.settings.root, &row.target, self.settings.switch)?.clear()?;
        self.store.journal().append(store::Event::Unpublished { target: row.target.clone() }, self.at)?;
        self.write_root()?;
        Ok(row.target.clone())
    }

    /// Takes the locks and finds the requests whose trees would stand in another's way.
    fn begin(&self, requests: &[Request]) -> Result<Begun, PublishError> {
        let mut locks = vec![self.store.lock(Lock::Shared)?];
        let rows = self.store.catalog().published()?;
        let mut places: Vec<(String, Address)> =
            rows.iter().map(|row| (row.target.clone(), row.address())).collect();
        places.extend(requests.iter().map(|r| (r.target(), r.address.clone())));
        let mut held: BTreeSet<&Name> = BTreeSet::new();
        let mut refused = Vec::with_capacity(requests.len());
        for request in requests {
            let name = &request.address.repository;
            let mut fault = plan::in_the_way(&request.target(), &request.address, &places);
            if fault.is_none() && !held.contains(name) {
                match self.store.lock(Lock::Repository(name)) {
                    Ok(lock) => {
                        locks.push(lock);
                        held.insert(name);
                    }
                    Err(error) => fault = Some(error.into()),
                }
            }
            refused.push(fault);
        }
        Ok(Begun { _locks: locks, rows, refused })
    }

    fn locks(&self, name: &Name) -> Result<[LockGuard; 2], PublishError> {
        Ok([self.store.lock(Lock::Shared)?, self.store.lock(Lock::Repository(name))?])
    }

    fn url(&self, target: &str) -> String {
        format!("{}/{target}", self.settings.base)
    }

    /// Builds what can be built.
    fn prepare_all(
        &self,
        requests: &[Request],
        refused: Vec<Option<PublishError>>,
        rows: &[PublishedRow],
        turn: Turn,
    ) -> Result<(Suspects<'_>, Vec<Result<Ready, PublishError>>), PublishError> {
        let suspects = Suspects::of(self.store.pool())?;
        let all = requests.iter().zip(refused).map(|(request, refused)| match refused {
            Some(error) => Err(error),
            None => self.prepare(request, &suspects, rows, turn),
        });
        let all = all.collect();
        Ok((suspects, all))
    }

    fn prepare(
        &self,
        request: &Request,
        suspects: &Suspects<'_>,
        rows: &[PublishedRow],
        turn: Turn,
    ) -> Result<Ready, PublishError> {
        let job = Job::new(self, suspects, request)?;
        let former = rows.iter().find(|row| row.target == job.target);
        let mut notices = notices(&job.recorded, former, self.at);
        let elsewhere = rows.iter().filter(|row| {
            let is_there = || fs::symlink_metadata(self.settings.root.join(&row.target)).is_ok();
            row.address() == request.address && row.target != job.target && is_there()
        });
        notices.extend(elsewhere.map(|row| Notice::Left { target: row.target.clone(), at: row.at }));
        let done = job.run(turn)?;
        notices.extend(done.notices);
        let outcome = Outcome {
            address: job.address.clone(),
            manifest: job.recorded.state.manifest,
            turn: done.turn,
            change: done.change,
            files: done.weight.0,
            bytes: done.weight.1,
            notices,
            target: job.target,
            url: job.url,
        };
        Ok(Ready { outcome, spot: job.spot, state: job.recorded.state })
    }

    /// Journals what is published, unless the journal says so already.
    fn record(&self, ready: &Ready, rows: &[PublishedRow]) -> Result<(), PublishError> {
        let Outcome { target, address, .. } = &ready.outcome;
        let known = rows.iter().any(|row| row.target == *target && row.state == ready.state);
        if known && ready.outcome.turn == Turn::Unchanged {
            return Ok(());
        }
        let event = store::Event::Published {
            target: target.clone(),
            repository: address.repository.clone(),
            name: address.snapshot.clone(),
            state: ready.state.clone(),
        };
        self.store.journal().append(event, self.at)?;
        Ok(())
    }

    /// Writes the page that lists all trees, unless a page that is not ours stands there.
    fn write_root(&self) -> Result<(), PublishError> {
        let (root, trees) = (&self.settings.root, self.settings.root.join(TREES));
        if !trees.is_dir() {
            return Ok(());
        }
        let path = root.join(page::PAGE);
        let io = PublishError::io(&path);
        // Two commands may end at once: who writes last has read last.
        let turn = fs::File::create(trees.join("lock")).and_then(|f| f.lock().map(|()| f)).map_err(&io)?;
        let page = page::root(self.store.site(), &self.list()?)?;
        match fs::read(&path) {
            Ok(found) if found == page => return Ok(()),
            Ok(found) if !page::is_ours(&found) => {
                let text = "is not ours, so the list of repositories is not written";
                self.reporter.event(Event::Note { subject: page::PAGE, text });
                return Ok(());
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let part = trees.join("index.html.part");
        tree::discard(&part)?;
        let mut file = tree::create(&part)?;
        file.write_all(&page).and_then(|()| file.sync_all()).map_err(&io)?;
        fs::rename(&part, &path).map_err(&io)?;
        tree::sync(root)?;
        drop(turn);
        Ok(())
    }
}

/// Does something for every tree that is well so far; a failure is that tree's alone.
fn each(all: &mut [Result<Ready, PublishError>], act: impl Fn(&Ready) -> Result<(), PublishError>) {
    for one in all {
        if let Ok(ready) = one
            && let Err(error) = act(ready)
        {
            *one = Err(error);
        }
    }
}

fn outcomes(all: Vec<Result<Ready, PublishError>>) -> Vec<Published> {
    all.into_iter().map(|one| one.map(|ready| ready.outcome)).collect()
}

/// Says what a person should know about a state that takes the place of another.
fn notices(recorded: &Recorded, former: Option<&PublishedRow>, at: Timestamp) -> Vec<Notice> {
    let mut notices = Vec::new();
    let state = &recorded.state;
    if let Some((former, now)) = former.and_then(|f| f.state.date).zip(state.date)
        && now < former
    {
        notices.push(Notice::Older { former, now });
    }
    if let Some(until) = state.valid_until.filter(|until| *until < at) {
        notices.push(Notice::Expired { until });
    }
    notices
}

#[cfg(test)]
mod tests;
