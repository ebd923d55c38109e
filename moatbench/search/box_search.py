"""Find the boxes on which a black box answers alike, with few questions.

Source: Tramèr et al. 2016, "Stealing Machine Learning Models via Prediction APIs", sec. 4.2, and
further: its Algorithm 1 searches every feature of every leaf. Here a region of a tree is a box, so
a box whose low and high corner share an answer lies in one region; where they do not, one bisection
over the features finds a border, and another its threshold (`Borders`). The borders of one region
are tests on one path of the tree, so that asking across two of them at once tells which is nearer
to the root; cut in that order, the parts are subtrees, and no region is found twice.
"""

import heapq
from collections.abc import Iterator, Sequence
from itertools import combinations, count, islice, pairwise

from moatbench.search.borders import Borders, Questions, Steps, differ
from moatbench.search.boxes import (
    Box,
    Cut,
    Geometry,
    Leaf,
    Piece,
    Point,
    cuts_of,
    locate,
    moved,
    pieces,
    put,
)
from moatbench.space import InputSpace
from moatbench.types import Array, Generator

ROUND = 32  # probes of all inputs between two refinements, once the search is over
CLEAN = 5  # rounds without a surprise, one probe a box in each, that settle the search
CATCH_UP = 6  # bits by which a threshold is refined that a probe found too coarse
DEEPEST = 64  # borders of one region; more than that is noise
TRIES = 3  # random points of a piece that are asked after its corner was refused


class BoxSearch:
    """A partition of the inputs, refined by answers; a coroutine that asks one batch at a time.

    Args:
        space: the inputs; columns are numeric or hold codes.
        partial: whether features may be left out.
        eps: precision of the thresholds, as a share of the feature's range.
        probes: random points asked in each box found, since two leaves may answer alike.
        pool: (n, d) inputs to probe beside random ones.
        rng: draws points.
    """

    def __init__(
        self,
        space: InputSpace,
        *,
        partial: bool,
        eps: float,
        probes: int,
        pool: Array,
        rng: Generator,
    ) -> None:
        self.geometry = Geometry(space)
        self.root = Piece(self.geometry.whole(missing=partial))
        self.pending = 1  # pieces to explore
        self._clean = 0  # rounds of probes since one was answered otherwise than expected
        self._questions = Questions(space.d)
        self._borders = Borders(self.geometry, self._questions, eps, rng)
        self._heap: list[tuple[float, int, Piece]] = []
        self._order = count()
        self._probes, self._rng = probes, rng
        self._pool = iter([tuple(row) for row in rng.permutation(pool).tolist()])

    @property
    def settled(self) -> bool:
        """Whether nothing is left to search, and probes of every box found nothing either."""
        return not self.pending and self._clean >= CLEAN

    def steps(self) -> Steps[None]:
        """Search; when nothing is left to search, probe and refine for ever."""
        self._push(self.root)
        while True:
            while self._heap:
                self.pending = len(self._heap)
                yield from self._explore(heapq.heappop(self._heap)[-1])
            self.pending = 0
            self._clean = 0 if (yield from self._probe()) else self._clean + 1
            for cut in cuts_of(self.root):
                yield from self._sharpen(cut, 1)

    def _push(self, piece: Piece) -> None:
        """Large pieces are explored first: they make the best surrogate when money runs out."""
        heapq.heappush(self._heap, (-self.geometry.volume(piece.box), next(self._order), piece))

    def _explore(self, piece: Piece) -> Steps[None]:
        """Cut off the region of one point of the piece; push what is left."""
        x, answer = yield from self._anchor(piece)
        piece.answer = answer
        if answer is None:
            return
        box, cuts, missing = piece.box, list[Cut](), self._untold(piece.box, answer)
        while (y := (yield from self._outlier(box, answer, piece.seen))) is not None:
            i, base = yield from self._borders.feature(x, y, answer, piece.fresh)
            value = y[i]
            if x[i] is None or value is None:
                missing = i
                break
            cut = yield from self._borders.cut(i, base, value, box, answer)
            parts = cut.parts(box)
            if parts is None or len(cuts) == DEEPEST:  # contradictory answers
                break
            cuts.append(cut)
            box = parts[0]
        cuts = yield from self._root_first(piece.box, box, cuts)
        yield from self._divide(piece, cuts, missing)

    def _anchor(self, piece: Piece) -> Steps[tuple[Point, Leaf | None]]:
        """Return a point of the piece and the answer to it; None where all were refused."""
        draws = (self.geometry.draw(piece.box, self._rng) for _ in range(TRIES))
        for x in (next(self.geometry.corners(piece.box)), *piece.seen, *draws):
            (answer,) = yield from self._questions.ask(x)
            if answer is not None:
                break
        return x, answer

    def _untold(self, box: Box, answer: Leaf) -> int | None:
        """The left-out feature that stopped the walk, where the service tells."""
        return next((i for i in sorted(answer.tested or ()) if box[i] is None), None)

    def _outlier(self, box: Box, answer: Leaf, seen: Sequence[Point]) -> Steps[Point | None]:
        """Return a point of the box that is answered otherwise; None where none was found."""
        for x in self.geometry.corners(box):
            if not (yield from self._questions.same(x, answer)):
                return x
        if self._untold(box, answer) is not None:
            return None  # it will be explored further
        for x, other in self._questions.inside(box, self.geometry):
            if differ(other, answer):
                return x
        for x in self._draws(box, answer):
            if not (yield from self._questions.same(x, answer)):
                return x
        return None

    def _draws(self, box: Box, answer: Leaf) -> Iterator[Point]:
        """Random points; what the box leaves out is filled, where the service tells no path."""
        fill = answer.tested is None
        for _ in range(max(self._probes, 2 if fill and None in box else 0)):
            yield self.geometry.draw(box, self._rng, fill)

    def _root_first(self, whole: Box, region: Box, cuts: list[Cut]) -> Steps[list[Cut]]:
        """Sort the borders of a region within a whole box, the test nearest to the root first.

        A looser test of the same feature may stand above some of them, hidden by the tighter one;
        it is found, and added.
        """
        while len(cuts) > 1:
            draws = (next(self.geometry.corners(region)), self.geometry.draw(region, self._rng))
            points = [self._against(x, region, cuts) for x in draws]
            wins = dict.fromkeys(range(len(cuts)), 0)
            for a, b in combinations(wins, 2):
                above = yield from self._above(cuts[a], cuts[b], points)
                wins[a] += above
                wins[b] -= above
            cuts = [cuts[place] for place in sorted(wins, key=lambda place: -wins[place])]
            hidden = yield from self._hidden(whole, cuts, points[0])
            if hidden is None or any(hidden.like(cut) for cut in cuts):
                break
            cuts = [*cuts, hidden]
        return cuts

    def _against(self, x: Point, region: Box, cuts: list[Cut]) -> Point:
        """Return the point of the region with every feature that has a border next to it."""
        for cut in cuts:
            if self.geometry.allows(region, cut.feature, cut.near):
                x = moved(x, cut.feature, cut.near)
        return x

    def _above(self, one: Cut, two: Cut, points: list[Point]) -> Steps[int]:
        """Return 1 where test `one` is above `two`, -1 below, 0 where it cannot be told.

        Across both borders at once, the lower test is not reached, and crossing it changes nothing.
        """
        if one.feature == two.feature:
            return 0
        for x in points:
            across = moved(x, one.feature, one.far)
            both = moved(across, two.feature, two.far)
            u, v, w = yield from self._questions.ask(across, moved(x, two.feature, two.far), both)
            if differ(u, w) != differ(v, w):
                return 1 if differ(v, w) else -1
        return 0

    def _hidden(self, whole: Box, cuts: list[Cut], x: Point) -> Steps[Cut | None]:
        """Find a test above a border's predecessor that is looser than the border's own."""
        for upper, cut in pairwise(cuts):
            end = self.geometry.end(whole, cut)
            if cut.outer or end == cut.far or upper.feature == cut.feature:
                continue
            across = moved(x, upper.feature, upper.far)
            points = across, moved(x, cut.feature, end), moved(across, cut.feature, end)
            u, v, w = yield from self._questions.ask(*points)
            if u is not None and differ(u, w) and not differ(v, w):
                return (yield from self._borders.cut(cut.feature, across, end, whole, u))
        return None

    def _divide(self, piece: Piece, cuts: list[Cut], missing: int | None) -> Steps[None]:
        """Apply the cuts in turn, and push each part that is cut off."""
        for cut in cuts:
            parts = cut.parts(piece.box)
            if parts is None:
                continue
            (other,) = yield from self._questions.ask(moved(cut.witness, cut.feature, cut.far))
            inner, outer = Piece(parts[0], piece.answer), Piece(parts[1], other, seen=piece.seen)
            piece.cut, piece.parts = cut, (inner, outer)
            self._push(outer)
            piece = inner
        if missing is not None:
            piece.box, piece.fresh = put(piece.box, missing, self.geometry.full(missing)), missing
            self._push(piece)

    def _probe(self) -> Steps[int]:
        """Count the inputs answered otherwise than their piece, and reopen that piece.

        Every box is probed in turn, however small: leaves that answer alike hide in any of them.
        """
        points: list[Point] = list(islice(self._pool, ROUND // 2))
        whole = self.geometry.whole(missing=False)
        points += [self.geometry.draw(whole, self._rng) for _ in range(ROUND - len(points))]
        boxes = [piece.box for piece in pieces(self.root) if piece.parts is None]
        points += [self.geometry.draw(box, self._rng, fill=True) for box in boxes]
        answers = yield from self._questions.buy(points)
        surprises = 0
        for x, answer in zip(points, answers, strict=True):
            piece, cuts = locate(self.root, x)
            if answer is None or (piece.answer is not None and not differ(answer, piece.answer)):
                continue
            surprises += 1
            if coarse := [c for c in cuts if c.undecided(x)]:
                for cut in coarse:
                    yield from self._sharpen(cut, CATCH_UP)
            else:
                piece.seen = [*piece.seen, x]
                self._push(piece)
        return surprises

    def _sharpen(self, cut: Cut, bits: int) -> Steps[None]:
        """Bisect a threshold further, down to neighbouring numbers."""
        for _ in range(bits if not cut.outer else 0):
            middle = self.geometry.on_step(cut.feature, cut.threshold)
            if middle in (cut.near, cut.far):
                return
            (answer,) = yield from self._questions.ask(moved(cut.witness, cut.feature, middle))
            if answer is None:
                return
            if differ(answer, cut.answer):
                cut.far = middle
            else:
                cut.near = middle
