//! The canvas: one sprite atlas per theme and pixel density, one image copy per token and frame.
//!
//! Only numbers cross into the browser while drawing; strings (colours, path data) are passed when
//! the atlas is built. Measured choice: at 2,000 tokens copies of sprites cost a third of DOM
//! elements.

use std::sync::Arc;

use sim_core::view::{Shape, Token};
use wasm_bindgen::JsCast;
use web_sys::{
    CanvasRenderingContext2d, HtmlCanvasElement, ImageBitmap, OffscreenCanvas,
    OffscreenCanvasRenderingContext2d, Path2d,
};

use super::place::{Look, Placed, SPRITES, hit, look, place, uncovered};
use super::theme::Theme;
use crate::lengths::within;
use crate::stage::plan::geom::{Pt, pt};
use crate::stage::plan::route::Routes;
use crate::stage::shapes;

/// Edge of a sprite's square, CSS px.
const SPRITE: f64 = 32.0;
/// Sprites in a row of the atlas.
const ACROSS: usize = 11;

/// Draws tokens; owned by the mounted stage.
pub(crate) struct Painter {
    canvas: HtmlCanvasElement,
    ctx: CanvasRenderingContext2d,
    atlas: HtmlCanvasElement,
    /// The atlas as an image, from which copies are cheaper than from a canvas.
    image: Option<ImageBitmap>,
    theme: Theme,
    density: f64,
    size: (f64, f64),
    scale: f64,
    routes: Arc<Routes>,
    placed: Vec<Placed>,
    /// What is drawn of them, and the places that are taken; reused from frame to frame.
    drawn: Vec<usize>,
    covered: Vec<bool>,
    selected: Option<u64>,
}

/// How far a sprite's ink reaches from its middle, CSS px at full size.
fn half(look: Look) -> f64 {
    match (look.shape, look.many) {
        (Shape::Batch, true) => 15.0,
        (Shape::Batch, false) => 12.5,
        (Shape::Other, _) => 6.0,
        _ => 11.0,
    }
}

fn context(canvas: &HtmlCanvasElement) -> Option<CanvasRenderingContext2d> {
    canvas.get_context("2d").ok()??.dyn_into().ok()
}

/// A canvas as an image; `None` where the browser cannot.
fn image_of(canvas: &HtmlCanvasElement) -> Option<ImageBitmap> {
    let copy = OffscreenCanvas::new(canvas.width(), canvas.height()).ok()?;
    let ctx = copy.get_context("2d").ok()??;
    let ctx: OffscreenCanvasRenderingContext2d = ctx.dyn_into().ok()?;
    ctx.draw_image_with_html_canvas_element(canvas, 0.0, 0.0)
        .ok()?;
    copy.transfer_to_image_bitmap().ok()
}

/// Device pixels per CSS pixel; capped where a finger points, since phones have many and little
/// to draw them with.
fn density() -> f64 {
    let Some(window) = web_sys::window() else {
        return 1.0;
    };
    let coarse = window
        .match_media("(pointer: coarse)")
        .ok()
        .flatten()
        .is_some_and(|m| m.matches());
    let most = if coarse { 2.0 } else { 3.0 };
    within(window.device_pixel_ratio(), 1.0, most)
}

impl Painter {
    /// A painter on a canvas; `None` where the browser gives no 2D context.
    pub(crate) fn new(canvas: HtmlCanvasElement, theme: Theme) -> Option<Self> {
        let ctx = context(&canvas)?;
        let document = web_sys::window()?.document()?;
        let atlas = document.create_element("canvas").ok()?.dyn_into().ok()?;
        let mut painter = Self {
            canvas,
            ctx,
            atlas,
            image: None,
            theme,
            density: density(),
            size: (0.0, 0.0),
            scale: 1.0,
            routes: Arc::default(),
            placed: Vec::new(),
            drawn: Vec::new(),
            covered: Vec::new(),
            selected: None,
        };
        painter.build_atlas();
        Some(painter)
    }

    /// Takes over new colours.
    pub(crate) fn set_theme(&mut self, theme: Theme) {
        if self.theme != theme {
            self.theme = theme;
            self.build_atlas();
        }
    }

    /// Takes over a new plan: its paths, its size and how large tokens are drawn.
    pub(crate) fn set_plan(&mut self, routes: Arc<Routes>, size: (f64, f64), scale: f64) {
        self.routes = routes;
        let density = density();
        if self.size != size || self.density != density {
            self.size = size;
            self.canvas
                .set_width((size.0 * density).round().max(1.0) as u32);
            self.canvas
                .set_height((size.1 * density).round().max(1.0) as u32);
        }
        if self.density != density || self.scale != scale {
            self.density = density;
            self.scale = scale;
            self.build_atlas();
        }
    }

    /// Rings a token.
    pub(crate) fn select(&mut self, token: Option<u64>) {
        self.selected = token;
    }

    /// The token under a point of the stage.
    pub(crate) fn hit(&self, at: Pt) -> Option<(u64, Pt)> {
        let id = hit(&self.placed, at, 9.0 * self.scale.max(0.9))?;
        self.placed.iter().find(|p| p.id == id).map(|p| (id, p.at))
    }

    /// Where a token was drawn last.
    pub(crate) fn place_of(&self, id: u64) -> Option<Pt> {
        self.placed.iter().find(|p| p.id == id).map(|p| p.at)
    }

    /// Draws tokens at a simulated time.
    pub(crate) fn draw(&mut self, now_ns: f64, tokens: &[Token]) {
        let mut placed = std::mem::take(&mut self.placed);
        place(tokens, now_ns, &self.routes, &mut placed);
        let (w, h) = (
            f64::from(self.canvas.width()),
            f64::from(self.canvas.height()),
        );
        self.ctx.clear_rect(0.0, 0.0, w, h);
        // Sprites lie on whole pixels; to smooth them would change nothing and cost much. A canvas
        // that changed its size has forgotten this.
        self.ctx.set_image_smoothing_enabled(false);
        let mut drawn = std::mem::take(&mut self.drawn);
        uncovered(&placed, self.size, &mut self.covered, &mut drawn);
        self.copy_sprites(drawn.iter().map(|i| &placed[*i]));
        self.drawn = drawn;
        self.placed = placed;
        if let Some(at) = self.selected.and_then(|id| self.place_of(id)) {
            self.ring(at);
        }
    }

    /// Copies the sprites of tokens from the atlas to their places.
    fn copy_sprites<'a>(&self, tokens: impl Iterator<Item = &'a Placed>) {
        let (d, cell) = (self.density, self.cell());
        let reach: Vec<f64> = (0..SPRITES)
            .map(|i| (half(look(i)) * self.scale * d).ceil().min(cell / 2.0))
            .collect();
        for p in tokens {
            let (col, row) = ((p.sprite % ACROSS) as f64, (p.sprite / ACROSS) as f64);
            // Only the part of the sprite that bears ink: fewer pixels, same picture.
            let (r, inset) = (reach[p.sprite], (cell / 2.0 - reach[p.sprite]).floor());
            let (x, y) = ((p.at.x * d - r).round(), (p.at.y * d - r).round());
            let (sx, sy, w) = (col * cell + inset, row * cell + inset, r * 2.0);
            // Fails only on a broken atlas; the frame is then drawn without this token.
            let _ = match &self.image {
                Some(image) => self
                    .ctx
                    .draw_image_with_image_bitmap_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
                        image, sx, sy, w, w, x, y, w, w,
                    ),
                None => self
                    .ctx
                    .draw_image_with_html_canvas_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
                        &self.atlas,
                        sx,
                        sy,
                        w,
                        w,
                        x,
                        y,
                        w,
                        w,
                    ),
            };
        }
    }

    fn ring(&self, at: Pt) {
        let d = self.density;
        self.ctx.set_stroke_style_str(&self.theme.sea);
        self.ctx.set_line_width(2.5 * d);
        self.ctx.begin_path();
        let _ = self.ctx.arc(
            at.x * d,
            at.y * d,
            14.0 * d * self.scale,
            0.0,
            std::f64::consts::TAU,
        );
        self.ctx.stroke();
    }

    /// Edge of a sprite in device px.
    fn cell(&self) -> f64 {
        (SPRITE * self.scale * self.density).ceil()
    }

    fn build_atlas(&mut self) {
        let cell = self.cell();
        let rows = SPRITES.div_ceil(ACROSS);
        self.atlas.set_width((cell * ACROSS as f64) as u32);
        self.atlas.set_height((cell * rows as f64) as u32);
        let Some(ctx) = context(&self.atlas) else {
            return;
        };
        for i in 0..SPRITES {
            let (col, row) = ((i % ACROSS) as f64, (i / ACROSS) as f64);
            let mid = pt((col + 0.5) * cell, (row + 0.5) * cell);
            ctx.save();
            let _ = ctx.translate(mid.x, mid.y);
            let _ = ctx.scale(self.scale * self.density, self.scale * self.density);
            self.sprite(&ctx, look(i));
            ctx.restore();
        }
        self.image = image_of(&self.atlas);
    }

    /// One sprite around (0, 0).
    fn sprite(&self, ctx: &CanvasRenderingContext2d, look: Look) {
        let Ok(path) = Path2d::new_with_path_string(shapes::outline(look.shape)) else {
            return;
        };
        let _ = ctx.rotate(look.turn as f64 * std::f64::consts::FRAC_PI_2);
        let edge = if look.held {
            &self.theme.harm
        } else {
            &self.theme.ink
        };
        let fill = match (look.shape, look.key) {
            (Shape::Batch, Some(key)) => &self.theme.keys[key as usize % 6],
            (Shape::Other, _) => &self.theme.ink,
            _ => &self.theme.panel,
        };
        ctx.set_line_join("round");
        // A rim of the ground sets tokens off from lines and from one another.
        ctx.set_stroke_style_str(&self.theme.ground);
        ctx.set_line_width(4.5);
        ctx.stroke_with_path(&path);
        ctx.set_stroke_style_str(edge);
        ctx.set_line_width(1.6);
        if look.many
            && let Ok(stack) = Path2d::new_with_path_string(shapes::STACK)
        {
            ctx.stroke_with_path(&stack);
        }
        ctx.set_fill_style_str(fill);
        ctx.fill_with_path_2d(&path);
        ctx.stroke_with_path(&path);
    }
}
