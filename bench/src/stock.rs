//! What a run finds in the registry, and how it is named.
//!
//! Names and content follow from the run's seed alone, so that a run can go on with what another
//! run has pushed; but manifests that are to be new are, whatever the seed.

use crate::content::Content;
use crate::image::{Image, Manifest};

/// Names and contents of a run.
pub(crate) struct Stock {
    prefix: String,
    /// Drawn in each run.
    run: u64,
    repositories: u64,
    content: Content,
    images: u64,
    /// The images that have blobs of their own: the first ones.
    bases: Vec<Image>,
    entries: u64,
}

impl Stock {
    /// The stock of the run `run`, with `images` images in some `repositories`, of which the first
    /// `bases` have blobs of their own, and lists of `entries`; all repositories begin with
    /// `prefix`.
    pub(crate) fn new(
        content: Content,
        run: u64,
        prefix: &str,
        repositories: u64,
        images: u64,
        bases: u64,
        entries: u64,
    ) -> Self {
        let prefix = format!("{prefix}/{:016x}", content.seed());
        let bases = (0..bases.min(images)).map(|number| Image::new(&content, number)).collect();
        Self { prefix, run, repositories, content, images, bases, entries }
    }

    /// What blobs are made of.
    pub(crate) const fn content(&self) -> &Content {
        &self.content
    }

    /// The repository for the operation `number`.
    pub(crate) fn repository(&self, number: u64) -> String {
        format!("{}/{}", self.prefix, number % self.repositories)
    }

    /// How many images there are.
    pub(crate) const fn images(&self) -> u64 {
        self.images
    }

    /// How many images have blobs of their own.
    pub(crate) fn bases(&self) -> u64 {
        self.bases.len() as u64
    }

    /// The image whose blobs the image `number` has, and the repository of both.
    pub(crate) fn base(&self, number: u64) -> (&Image, String) {
        let base = number % self.bases();
        let position = usize::try_from(base).unwrap_or(0);
        (&self.bases[position], self.repository(base))
    }

    /// The manifest of the image `number`.
    pub(crate) fn manifest(&self, number: u64) -> Manifest {
        let (base, _) = self.base(number);
        if number < self.bases() {
            return base.manifest.clone();
        }
        base.noted(&number.to_string())
    }

    /// A manifest of `image`'s blobs that no other operation and no other run has.
    pub(crate) fn fresh_manifest(&self, image: &Image, number: u64) -> Manifest {
        image.noted(&format!("{:016x}/{number}", self.run))
    }

    /// An image for the operation `number`, drawn by chance, with its number.
    pub(crate) fn draw(&self, number: u64) -> u64 {
        self.content.rng(number).u64(..self.images)
    }

    /// The number of an image that an operation pushes: none that is in stock.
    pub(crate) fn fresh(&self, number: u64) -> u64 {
        self.images + number
    }

    /// How long the lists are.
    pub(crate) const fn entries(&self) -> u64 {
        self.entries
    }

    /// The repository with many tags.
    pub(crate) fn tagged(&self) -> String {
        format!("{}/tagged", self.prefix)
    }

    /// One of the many repositories; they stand behind all others of the run.
    pub(crate) fn listed(&self, entry: u64) -> String {
        format!("{}/z{entry:08}", self.prefix)
    }

    /// What all entries of lists hold.
    pub(crate) fn entry(&self) -> Manifest {
        Manifest::empty()
    }

    /// An entry for the operation `number` after which `page` others follow.
    pub(crate) fn place(&self, number: u64, page: u64) -> u64 {
        let places = self.entries.saturating_sub(page).max(1);
        self.content.rng(number).u64(..places)
    }
}

/// The tag of image `number`.
pub(crate) fn image_tag(number: u64) -> String {
    format!("image-{number}")
}

/// One of many tags.
pub(crate) fn listed_tag(entry: u64) -> String {
    format!("z{entry:08}")
}
