//! What happens to queries and keys between their product and attention, in one pass over the rows.

use super::{
    product::Products,
    rope::Rope,
    rows::{add, each_row, row},
};

/// Bias, norm and turn of the heads of a row, each if the model has it.
#[derive(Debug, Clone, Copy)]
pub struct HeadSteps<'a> {
    /// Numbers of a head.
    pub head_dim: usize,
    /// Added to a row.
    pub bias: Option<&'a [f32]>,
    /// Weight and epsilon of the norm of each head.
    pub norm: Option<(&'a [f32], f32)>,
    /// How heads turn, with a row of its table for each row.
    pub rope: Option<(&'a Rope, &'a [f32])>,
}

impl HeadSteps<'_> {
    /// Applies the steps to rows of `width` numbers.
    pub fn apply(&self, products: Products<'_>, rows: &mut [f32], width: usize) {
        if self.bias.is_none() && self.norm.is_none() && self.rope.is_none() {
            return;
        }
        each_row(products.team, rows, width, |index, numbers| {
            if let Some(bias) = self.bias {
                add(numbers, bias);
            }
            for head in numbers.chunks_exact_mut(self.head_dim) {
                if let Some((weight, epsilon)) = self.norm {
                    let mean = products.kernels.dot(head, head) / head.len() as f32;
                    let scale = 1.0 / (mean + epsilon).sqrt();
                    head.iter_mut().zip(weight).for_each(|(x, &weight)| *x *= scale * weight);
                }
                if let Some((rope, table)) = self.rope {
                    rope.turn(head, row(table, rope.row_len(), index));
                }
            }
        });
    }
}
