//! Peers that go on, but hardly: heads and bodies that come a byte at a time, and readers who take nothing of an answer without an
//! end, or a trickle. Judged by the time until they are ended, by the memory that each holds, and by what the engine gets rid of.

mod crowd;
mod heads_and_bodies;
mod memory;
mod readers;
