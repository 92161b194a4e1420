//! Products of packed matrices with panels, spread over a team: several matrices that share their input are one job.
#![expect(
    unsafe_code,
    reason = "tasks write disjoint rows of one output, a piece of every column each"
)]

use super::formats::{Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, Q8K};
use super::layout::{PackedLayout, ROWS};
use super::panels::{Panels, Place, WIDTH};
use super::tiles::{Tile, Tiles};
use crate::{quant::BlockFormat, team::Team};

/// Tasks for each thread: enough that a thread that loses its CPU for a while does not hold up the others, few enough that
/// each streams a long piece of weights.
const TASKS_PER_THREAD: usize = 4;
/// Weights of a task at most, in bytes: a part of the second-level cache, since every panel passes over them.
const TASK_BYTES: usize = 192 << 10;
/// Panels of a task at most: with their weights they stay in the second-level cache.
const TASK_PANELS: usize = 16;
/// Jobs with fewer multiply-adds than this stay with the caller: waking a helper costs more.
const SERIAL_MULTIPLY_ADDS: usize = 1 << 16;

/// A packed matrix; its sizes are checked once.
#[derive(Debug, Clone, Copy)]
pub struct PackedMatrix<'a> {
    format: BlockFormat,
    rows: usize,
    cols: usize,
    unit: usize,
    group_bytes: usize,
    bytes: &'a [u8],
}

impl<'a> PackedMatrix<'a> {
    /// `rows` rows of `cols` weights; `None` when the format is not packed or `bytes` has another size.
    pub fn new(format: BlockFormat, rows: usize, cols: usize, bytes: &'a [u8]) -> Option<Self> {
        let layout = PackedLayout::of(format)?;
        let group_bytes = layout.group_bytes(cols).filter(|&bytes| bytes > 0)?;
        (rows > 0 && layout.bytes(rows, cols) == Some(bytes.len())).then_some(Self {
            format,
            rows,
            cols,
            unit: layout.unit,
            group_bytes,
            bytes,
        })
    }

    /// Format of the blocks.
    pub fn format(&self) -> BlockFormat {
        self.format
    }

    /// Number of rows: outputs of a product.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Weights in a row: inputs of a product.
    pub fn cols(&self) -> usize {
        self.cols
    }

    fn groups(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    fn group(&self, index: usize) -> &'a [u8] {
        &self.bytes[index * self.group_bytes..][..self.group_bytes]
    }
}

/// Computes a tile: format, columns, a group's bytes, a panel's bytes, where the products go.
pub(in crate::kernels) trait TileWork:
    Fn(BlockFormat, usize, &[u8], &[u8], &mut [[f32; ROWS]; WIDTH]) + Sync
{
}

impl<T: Fn(BlockFormat, usize, &[u8], &[u8], &mut [[f32; ROWS]; WIDTH]) + Sync> TileWork for T {}

/// A matrix and where its products go: `columns x rows` numbers.
#[derive(Debug)]
pub struct Product<'w, 'o> {
    /// The weights.
    pub weights: PackedMatrix<'w>,
    /// `output[c * rows + r]` becomes row `r` times column `c`; columns that it has no room for are left out.
    pub output: &'o mut [f32],
}

/// A product as tasks see it.
struct Shared<'w> {
    weights: PackedMatrix<'w>,
    output: *mut f32,
    /// Columns that the output has room for.
    columns: usize,
    /// First task, groups of rows a task, tasks along the rows.
    first: usize,
    groups: usize,
    slabs: usize,
}

// SAFETY: each task writes rows of its own slab in the columns of its own panels.
unsafe impl Sync for Shared<'_> {}

/// Multiplies every matrix with the panels, tile by tile; those of another width or kind of activations are left out.
pub(in crate::kernels) fn multiply_all(
    tile: impl TileWork,
    team: &Team,
    panels: &Panels,
    products: &mut [Product<'_, '_>],
) {
    let places: Vec<Place> = panels.places().collect();
    let fits = |product: &&mut Product<'_, '_>| {
        product.weights.cols == panels.cols() && product.weights.unit == panels.unit()
    };
    let mut shared: Vec<Shared<'_>> = products
        .iter_mut()
        .filter(fits)
        .map(|product| Shared {
            weights: product.weights,
            columns: panels.columns().min(product.output.len() / product.weights.rows),
            output: product.output.as_mut_ptr(),
            first: 0,
            groups: 1,
            slabs: 0,
        })
        .collect();
    let bands = places.len().div_ceil(TASK_PANELS).max(1);
    let mut tasks = 0;
    let threads = threads_for(team, &shared, panels.columns());
    let wanted = (threads * TASKS_PER_THREAD).div_ceil(bands);
    let all: usize = shared.iter().map(|product| product.weights.bytes.len()).sum();
    for product in &mut shared {
        let bytes = (all / wanted).min(TASK_BYTES);
        product.groups = (bytes / product.weights.group_bytes).clamp(1, product.weights.groups());
        product.slabs = product.weights.groups().div_ceil(product.groups);
        product.first = tasks;
        tasks += product.slabs * bands;
    }
    let run = |task: usize| {
        let at = shared.partition_point(|product| product.first <= task) - 1;
        let (band, slab) = (
            (task - shared[at].first) / shared[at].slabs,
            (task - shared[at].first) % shared[at].slabs,
        );
        let places = &places[band * TASK_PANELS..places.len().min((band + 1) * TASK_PANELS)];
        shared[at].slab(&tile, panels, slab, places);
    };
    if threads < 2 {
        (0..tasks).for_each(run);
    } else {
        team.run(tasks, |task, _| run(task));
    }
}

fn threads_for(team: &Team, products: &[Shared<'_>], columns: usize) -> usize {
    let weights: usize =
        products.iter().map(|product| product.weights.rows * product.weights.cols).sum();
    if weights.saturating_mul(columns) < SERIAL_MULTIPLY_ADDS { 1 } else { team.threads() }
}

impl Shared<'_> {
    /// Some groups of rows times some panels.
    fn slab(&self, tile: &impl TileWork, panels: &Panels, slab: usize, places: &[Place]) {
        let first = slab * self.groups;
        let groups = first..(first + self.groups).min(self.weights.groups());
        let mut output = [[0.0; ROWS]; WIDTH];
        for &place in places {
            let panel = panels.bytes(place);
            for group in groups.clone() {
                let weights = self.weights.group(group);
                tile(self.weights.format, place.width, weights, panel, &mut output);
                self.put(group, place, &output);
            }
        }
    }

    fn put(&self, group: usize, place: Place, tile: &[[f32; ROWS]; WIDTH]) {
        let rows = ROWS.min(self.weights.rows - group * ROWS);
        for (column, numbers) in tile.iter().enumerate().take(place.width) {
            let column = place.first + column;
            if column < self.columns {
                // SAFETY: column and rows are inside the output, and this task alone writes them.
                unsafe {
                    let to = self.output.add(column * self.weights.rows + group * ROWS);
                    std::ptr::copy_nonoverlapping(numbers.as_ptr(), to, rows);
                }
            }
        }
    }
}

/// Computes the first `width` columns of a tile with the kernels of `isa`.
pub(in crate::kernels) fn tile<I: Tiles>(
    isa: I,
    format: BlockFormat,
    width: usize,
    weights: &[u8],
    panel: &[u8],
    output: &mut [[f32; ROWS]; WIDTH],
) {
    match width {
        1 => sized::<I, 1>(isa, format, weights, panel, output),
        2 => sized::<I, 2>(isa, format, weights, panel, output),
        3 => sized::<I, 3>(isa, format, weights, panel, output),
        4 => sized::<I, 4>(isa, format, weights, panel, output),
        5 => sized::<I, 5>(isa, format, weights, panel, output),
        6 => sized::<I, 6>(isa, format, weights, panel, output),
        7 => sized::<I, 7>(isa, format, weights, panel, output),
        8 => sized::<I, 8>(isa, format, weights, panel, output),
        _ => {}
    }
}

fn sized<I: Tiles, const N: usize>(
    isa: I,
    format: BlockFormat,
    weights: &[u8],
    panel: &[u8],
    output: &mut [[f32; ROWS]; WIDTH],
) {
    let tile = &mut Tile::<N> { weights, panel, output };
    match format {
        BlockFormat::Q4_0 => isa.run::<Q4_0, N>(tile),
        BlockFormat::Q4_1 => isa.run::<Q4_1, N>(tile),
        BlockFormat::Q5_0 => isa.run::<Q5_0, N>(tile),
        BlockFormat::Q5_1 => isa.run::<Q5_1, N>(tile),
        BlockFormat::Q8_0 | BlockFormat::Q8_1 => isa.run::<Q8_0, N>(tile),
        BlockFormat::Q2_K => isa.run::<Q2K, N>(tile),
        BlockFormat::Q3_K => isa.run::<Q3K, N>(tile),
        BlockFormat::Q4_K => isa.run::<Q4K, N>(tile),
        BlockFormat::Q5_K => isa.run::<Q5K, N>(tile),
        BlockFormat::Q6_K => isa.run::<Q6K, N>(tile),
        BlockFormat::Q8_K => isa.run::<Q8K, N>(tile),
        BlockFormat::F32 | BlockFormat::F16 | BlockFormat::BF16 => {}
    }
}
