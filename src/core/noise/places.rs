//! The places that are watched, as a tree of the steps that lead to them.

use crate::core::diff::Known;
use crate::core::json::{Kind, Pair, Pattern, PatternToken, Value, pairs};

use super::alike::alike;
use super::watch::{Spot, Watch};

/// The most steps of all ways together.
const MAX_STEPS: usize = 1024;

/// The most values that are looked at in one comparison.
const MAX_VISITS: usize = 8192;

/// How often tables may be gone through in one comparison, counted in whole documents.
const MAX_READ: usize = 4;

/// Among so many members of an object, the first ones, one is looked for.
const MAX_LOOKED_AT: usize = 256;

/// The longest way to a place, in steps.
const MAX_DEPTH: usize = 32;

/// A place and those inside it.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// Where this very place is watched.
    watch: Option<Watch>,
    inside: Vec<(PatternToken, Places)>,
}

/// What one walk may still spend.
struct Budget {
    steps: usize,
    visits: usize,
    /// Bytes of tables whose rows are gone through.
    bytes: usize,
}

impl Budget {
    fn new(steps: usize, old: Value<'_>, new: Value<'_>) -> Self {
        Self {
            steps,
            visits: MAX_VISITS,
            bytes: MAX_READ * (old.raw().len() + new.raw().len()),
        }
    }

    fn visit(&mut self) -> bool {
        self.visits = self.visits.saturating_sub(1);
        self.visits > 0
    }

    fn read(&mut self, old: Value<'_>, new: Value<'_>) -> bool {
        let bytes = old.raw().len() + new.raw().len();
        self.bytes = self.bytes.saturating_sub(bytes);
        self.bytes > 0
    }
}

impl Places {
    /// Whether nothing is watched.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.watch.is_none() && self.inside.is_empty()
    }

    /// Whether some of them are inside arrays or tables.
    pub(super) fn have_rows(&self) -> bool {
        let is_row = |(token, inside): &(PatternToken, Places)| {
            *token == PatternToken::Any || inside.have_rows()
        };
        self.inside.iter().any(is_row)
    }

    fn steps(&self) -> usize {
        let steps = self.inside.iter().map(|(_, inside)| 1 + inside.steps());
        steps.sum()
    }

    /// Watches every scalar that differs, as far as there is room.
    pub(super) fn collect(&mut self, old: Value<'_>, new: Value<'_>, known: Known<'_>) {
        let steps = MAX_STEPS.saturating_sub(self.steps());
        let mut budget = Budget::new(steps, old, new);
        self.look(old, new, known, MAX_DEPTH, &mut budget);
        self.retain(&mut |_| true);
    }

    fn look(
        &mut self,
        old: Value<'_>,
        new: Value<'_>,
        known: Known<'_>,
        depth: usize,
        budget: &mut Budget,
    ) {
        if old.raw() == new.raw() || !budget.visit() || depth == 0 {
            return;
        }
        if old.is_scalar() && new.is_scalar() {
            if !old.looks_like(new) {
                self.watch.get_or_insert_default();
            }
            return;
        }
        let is_array = new.kind() == Kind::Array;
        for (token, old, new) in alike(old, new, known) {
            if let Some(inside) = self.enter(token, budget) {
                let known = below(known, new, is_array);
                inside.look(old, new, known, depth - 1, budget);
            }
        }
    }

    /// The place one step further, made if there is room.
    fn enter(&mut self, token: PatternToken, budget: &mut Budget) -> Option<&mut Self> {
        let at = self.inside.iter().position(|(known, _)| *known == token);
        let at = at.or_else(|| {
            budget.steps = budget.steps.checked_sub(1)?;
            self.inside.push((token, Self::default()));
            Some(self.inside.len() - 1)
        })?;
        Some(&mut self.inside[at].1)
    }

    /// Compares what is at every place that is watched.
    pub(super) fn compare(&mut self, old: Value<'_>, new: Value<'_>, known: Known<'_>) {
        self.each(&mut |watch| watch.begin());
        let mut budget = Budget::new(0, old, new);
        self.visit(old, new, Spot::root(known), &mut budget);
    }

    fn visit(&mut self, old: Value<'_>, new: Value<'_>, spot: Spot<'_>, budget: &mut Budget) {
        if !budget.visit() {
            return self.each(&mut Watch::pass);
        }
        if let Some(watch) = &mut self.watch {
            watch.compare(old, new, spot);
        }
        let is_array = new.kind() == Kind::Array;
        for (token, place) in &mut self.inside {
            match token {
                PatternToken::Name(token) => {
                    if let (Some(old), Some(new)) = (child(old, token), child(new, token)) {
                        let known = below(spot.known, new, is_array);
                        place.visit(old, new, spot.inside(known, token.len(), 1.0), budget);
                    }
                }
                PatternToken::Any => place.visit_rows(old, new, spot, budget),
            }
        }
    }

    fn visit_rows(&mut self, old: Value<'_>, new: Value<'_>, spot: Spot<'_>, budget: &mut Budget) {
        let may = budget.read(old, new);
        let same = may.then(|| spot.known.same(old, new)).flatten();
        let same = same.unwrap_or_default();
        if same.pairs.is_empty() {
            return self.each(&mut Watch::pass);
        }
        let is_array = new.kind() == Kind::Array;
        for (i, old, new) in same.pairs {
            let known = below(spot.known, new, is_array);
            let token = match is_array {
                true => digits(i),
                false => new.name().raw().len() - 2,
            };
            self.visit(old, new, spot.inside(known, token, same.weight), budget);
        }
    }

    /// Whether what differs between two values differs only at places that were found.
    pub(super) fn cover(&self, old: Value<'_>, new: Value<'_>) -> bool {
        if old.raw() == new.raw() {
            return true;
        }
        if self.watch.as_ref().is_some_and(Watch::is_found) {
            return old.is_scalar() && new.is_scalar();
        }
        match (old.kind(), new.kind()) {
            (Kind::Object, Kind::Object) => pairs(old, new).all(|pair| match pair {
                Pair::Both(old, new) => self.cover_child(old, new, |name| new.name().is(name)),
                Pair::Gone(_) | Pair::New(_) => false,
            }),
            (Kind::Array, Kind::Array) => {
                let mut pairs = old.children().zip(new.children()).enumerate();
                old.children().count() == new.children().count()
                    && pairs.all(|(i, (old, new))| {
                        self.cover_child(old, new, |index| index.parse() == Ok(i))
                    })
            }
            _ => old.looks_like(new),
        }
    }

    /// As far as it is covered by one place: the one of this name before that of any.
    fn cover_child(&self, old: Value<'_>, new: Value<'_>, is_it: impl Fn(&str) -> bool) -> bool {
        let of = |wanted: &dyn Fn(&PatternToken) -> bool| {
            let mut inside = self.inside.iter();
            inside.find_map(|(token, place)| wanted(token).then_some(place))
        };
        let named = of(&|token| matches!(token, PatternToken::Name(name) if is_it(name)));
        match named.or_else(|| of(&|token| *token == PatternToken::Any)) {
            Some(place) => place.cover(old, new),
            None => old == new,
        }
    }

    /// Looks at each place that is watched.
    pub(super) fn each(&mut self, look: &mut impl FnMut(&mut Watch)) {
        self.watch.iter_mut().for_each(&mut *look);
        for (_, place) in &mut self.inside {
            place.each(look);
        }
    }

    /// Stops watching the places for which `keep` says no.
    pub(super) fn retain(&mut self, keep: &mut impl FnMut(&mut Watch) -> bool) {
        self.watch.take_if(|watch| !keep(watch));
        self.inside.retain_mut(|(_, place)| {
            place.retain(keep);
            !place.is_empty()
        });
    }

    /// Every place that is watched, with the way to it.
    pub(super) fn list(&self) -> Vec<(Pattern, &Watch)> {
        let mut list = Vec::new();
        self.list_below(&mut Vec::new(), &mut list);
        list
    }

    fn list_below<'p>(&'p self, way: &mut Vec<PatternToken>, list: &mut Vec<(Pattern, &'p Watch)>) {
        if let (Some(watch), Some(place)) = (&self.watch, Pattern::of(way.clone())) {
            list.push((place, watch));
        }
        for (token, place) in &self.inside {
            way.push(token.clone());
            place.list_below(way, list);
            way.pop();
        }
    }
}

/// How many scalars a value consists of.
pub(super) fn scalars(value: Value<'_>) -> usize {
    match value.kind() {
        Kind::Array | Kind::Object => value.children().map(scalars).sum(),
        _ => 1,
    }
}

/// The member or element that a token leads to.
fn child<'a>(value: Value<'a>, token: &str) -> Option<Value<'a>> {
    match value.kind() {
        Kind::Object => {
            let mut members = value.children().take(MAX_LOOKED_AT);
            members.find(|member| member.name().is(token))
        }
        _ => value.child(token),
    }
}

fn below<'m>(known: Known<'m>, child: Value<'_>, is_element: bool) -> Known<'m> {
    match is_element {
        true => known.element(),
        false => known.member(child.name()),
    }
}

fn digits(index: usize) -> usize {
    index
        .checked_ilog10()
        .map_or(1, |digits| digits as usize + 1)
}
