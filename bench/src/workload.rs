//! What clients do.

use std::fmt;

use clap::ValueEnum;

/// What each client does, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Push a blob that nobody has pushed before.
    PushBlob,
    /// Pull a blob.
    PullBlob,
    /// Ask whether a blob exists.
    HeadBlob,
    /// Push a whole image: configuration, two layers, manifest and tag.
    PushImage,
    /// Pull a whole image by its tag.
    PullImage,
    /// Push a manifest that nobody has pushed before, with a tag, of blobs that are there.
    PushManifest,
    /// Pull a manifest by digest.
    GetManifest,
    /// Pull a manifest by tag.
    GetTag,
    /// Ask for the head of a manifest by digest.
    HeadManifest,
    /// Ask for the head of a manifest by tag.
    HeadTag,
    /// Push a manifest that is there with a tag that is there: the tag moves.
    MoveTag,
    /// List a page of a repository's tags.
    ListTags,
    /// List a page of all repositories.
    ListRepositories,
}

/// How the bytes of a blob are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Upload {
    /// As docker does: HEAD, POST, PATCH with the bytes, PUT.
    Docker,
    /// POST, PUT with the bytes.
    Put,
    /// POST with the bytes.
    Post,
}

/// What has to be there before a workload can be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing.
    Nothing,
    /// Images with a tag each.
    Images,
    /// A repository with many tags.
    Tags,
    /// Many repositories.
    Repositories,
}

impl Workload {
    /// What has to be there before.
    pub(crate) const fn needs(self) -> Needs {
        match self {
            Self::PushBlob | Self::PushImage => Needs::Nothing,
            Self::PullBlob
            | Self::HeadBlob
            | Self::PullImage
            | Self::PushManifest
            | Self::GetManifest
            | Self::GetTag
            | Self::HeadManifest
            | Self::HeadTag
            | Self::MoveTag => Needs::Images,
            Self::ListTags => Needs::Tags,
            Self::ListRepositories => Needs::Repositories,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_possible_value() {
            Some(value) => f.write_str(value.get_name()),
            None => Ok(()),
        }
    }
}
