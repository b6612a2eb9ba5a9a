"""Takes pictures of websites, compares them, tells of changes. Must not tell of one twice, nor lose one.

A picture is compared with its site's reference: the newest one that looked different. Small changes can
therefore not creep by. What people are to be told is kept with the picture, in one row, and told afterwards;
a run that dies in between leaves it to the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aegis_lib.alerts.model import Message
from aegis_lib.errors import AegisError, Misconfigured, NotConfigured
from aegis_lib.logs import get_logger
from aegis_lib.memory.model import Importance
from aegis_lib.outcome import Outcome
from aegis_lib.pictures import messages, policy
from aegis_lib.pictures.model import (
    EVENT_TYPE,
    Comparison,
    Forgotten,
    ImageFacts,
    NewPicture,
    Picture,
    PictureRow,
    PicturesConfig,
    PicturesReport,
    Says,
    Shot,
    SiteHistory,
    Subject,
)
from aegis_lib.ports.alerts import Notifier
from aegis_lib.ports.memory import EpisodicMemory
from aegis_lib.ports.pictures import Camera, Darkroom, PictureFiles, PictureStore
from aegis_lib.sites.model import Site

log = get_logger(__name__)
_TELLINGS = {
    Says.CHANGED: messages.changed,
    Says.FAILING: messages.failing,
    Says.RECOVERED: messages.recovered,
}


@dataclass(frozen=True)
class Studio:
    """What pictures are taken, kept and compared with."""

    camera: Camera
    files: PictureFiles
    darkroom: Darkroom
    store: PictureStore


def take_all(
    studio: Studio,
    memory: EpisodicMemory,
    notifier: Notifier,
    *,
    sites: Sequence[Site],
    config: PicturesConfig,
    now: datetime,
    only: str | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> PicturesReport:
    """Take a picture of every site that wants one, or of the one named, and tell what looks different.

    Raises:
        NotConfigured: no site wants one, or there is no browser.
        Misconfigured: `only` is no such site, or browser or directory cannot be used as they are set.
        DependencyUnavailable: the browser, the database or the disk is away.
    """
    wanting = [site for site in sites if site.picture is not None and site.picture.enabled]
    if only is not None:
        wanting = [site for site in wanting if site.name == only]
        if not wanting:
            raise Misconfigured("only", f"no site {only!r} has pictures.", "see `aegis pictures list`.")
    if not wanting:
        raise NotConfigured("`picture` of a site in aegis.yaml", purpose="have pictures taken of it")
    subjects = policy.subjects(wanting, now)
    with studio.store.exclusive() as held:
        if not held:
            return PicturesReport(summary="Another run is taking pictures; nothing was done.")
        run = _Run(studio, memory, notifier, config, now, monotonic, monotonic())
        return run.run(subjects)


def forget_before(
    store: PictureStore,
    files: PictureFiles,
    moment: datetime,
    keep_last_per_site: int = 1,
    batch: int = 500,
    go_on: Callable[[], bool] = lambda: True,
) -> Forgotten:
    """Forget pictures taken before `moment`, then every file that none mentions.

    `moment` is an hour ago or more. The newest `keep_last_per_site` images (0 or more) of each site stay, and
    each newest reference. It may be stopped anywhere, by `go_on` as well; the next call goes on.

    Raises:
        DependencyUnavailable: the database or the disk is away.
        Misconfigured: the directory of the pictures may not be used.
    """
    rows, count, size, problems = 0, 0, 0, list[str]()
    while go_on():
        deleted = store.delete_before(moment, keep_last_per_site, batch)
        rows += deleted
        if deleted < batch:
            break
    for digests in files.kept(moment):
        if not go_on():
            break
        removed = files.remove(store.unreferenced(digests), moment)
        count, size = count + removed.files, size + removed.bytes
        problems += removed.problems
    return Forgotten(pictures=rows, files=count, bytes=size, problems=tuple(problems))


@dataclass
class _Run:
    studio: Studio
    memory: EpisodicMemory
    notifier: Notifier
    config: PicturesConfig
    started_at: datetime
    monotonic: Callable[[], float]
    began: float
    histories: dict[str, SiteHistory] = field(default_factory=dict)
    rows: list[PictureRow] = field(default_factory=list)
    taken: int = 0
    changed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def now(self) -> datetime:
        return self.started_at + timedelta(seconds=self.monotonic() - self.began)

    def run(self, subjects: Sequence[Subject]) -> PicturesReport:
        """Tell what an earlier run could not, take the pictures, tell what is new."""
        self.tell()
        self.histories = self.studio.store.histories([subject.site for subject in subjects])
        ordered = policy.in_turn(subjects, self.histories)
        seen = set()
        for shot in self.studio.camera.pictures(ordered, self._is_time_left):
            seen.add(shot.subject.site)
            self.rows.append(self._keep(shot))
        self.tell()
        return self._report([subject.site for subject in ordered if subject.site not in seen])

    def _is_time_left(self) -> bool:
        return self.monotonic() - self.began < self.config.time_limit_seconds

    # --- one picture ---

    def _keep(self, shot: Shot) -> PictureRow:
        subject = shot.subject
        history = self.histories.get(subject.site, SiteHistory())
        new = NewPicture(
            site=subject.site,
            taken_at=self.now(),
            viewport=str(subject.rules.viewport),
            conditions=policy.conditions(subject, shot.browser),
            http_status=shot.http_status,
            problem=shot.problem,
        )
        facts, problem = self._looked_at(shot)
        if problem is not None:
            new = new.model_copy(update={"problem": problem})
        if facts is not None:
            new = new.model_copy(update=self._filed(shot.image, facts))
        if new.problem is not None:
            return self._keep_failure(new, history, shot)
        reference = policy.comparable(history, new.conditions)
        before = self._image_of(reference)
        if reference is None or before is None:
            says = policy.says_of_success(history, changed=False)
            self.studio.store.keep(new.model_copy(update={"is_reference": True, "says": says}))
            return self._row(shot, "first picture to compare with")
        comparison = self._compared(before, shot)
        changed = policy.is_change(comparison, subject.rules)
        update = {
            "is_reference": changed,
            "reference_id": reference.id,
            "changed_ratio": comparison.changed_ratio,
            "regions": comparison.regions,
            "says": policy.says_of_success(history, changed=changed),
        }
        if changed:
            update |= self._filed_marks(comparison)
            self.changed.append(subject.site)
        self.studio.store.keep(new.model_copy(update=update))
        result = "looks different" if changed else "as before"
        return self._row(shot, result, messages.share(comparison.changed_ratio))

    def _looked_at(self, shot: Shot) -> tuple[ImageFacts | None, str | None]:
        """Facts of the image, if there is one, or why it is none."""
        if not shot.image:
            return None, shot.problem or "the browser gave no picture"
        try:
            return self.studio.darkroom.facts(shot.image), None
        except ValueError as error:
            return None, str(error)

    def _keep_failure(self, new: NewPicture, history: SiteHistory, shot: Shot) -> PictureRow:
        says = policy.says_of_failure(history, self.config.failures_before_told)
        self.studio.store.keep(new.model_copy(update={"says": says}))
        log.warning("picture_failed", site=new.site, problem=new.problem, failures=history.failures + 1)
        self.failed.append(new.site)
        return self._row(shot, new.problem or "")

    def _filed(self, image: bytes, facts: ImageFacts) -> dict[str, object]:
        return {
            "file_digest": self.studio.files.put(image),
            "bytes": len(image),
            "width": facts.width,
            "height": facts.height,
            "thumbnail_digest": self.studio.files.put(facts.thumbnail),
        }

    def _filed_marks(self, comparison: Comparison) -> dict[str, object]:
        marks = self.studio.darkroom.facts(comparison.marked)
        return {
            "diff_digest": self.studio.files.put(comparison.marked),
            "diff_thumbnail_digest": self.studio.files.put(marks.thumbnail),
        }

    def _image_of(self, reference: Picture | None) -> bytes | None:
        if reference is None or reference.file_digest is None:
            return None
        found = self.studio.files.read(reference.file_digest)
        if found is None:
            log.warning("picture_reference_lost", site=reference.site, picture=reference.id)
        return found

    def _compared(self, before: bytes, shot: Shot) -> Comparison:
        """How it differs from before; what moves by itself is found by a second picture."""
        rules = shot.subject.rules
        comparison = self.studio.darkroom.compare(before, shot.image, rules.ignore_regions)
        if not rules.confirm or not policy.is_change(comparison, rules):
            return comparison
        second = next(iter(self.studio.camera.pictures([shot.subject])), None)
        if second is None or second.problem is not None:
            return comparison
        return self.studio.darkroom.compare_still(before, shot.image, second.image, rules.ignore_regions)

    def _row(self, shot: Shot, result: str, changed: str = "") -> PictureRow:
        if shot.problem is None:
            self.taken += 1
        return PictureRow(site=shot.subject.site, result=result, changed=changed, seconds=shot.seconds)

    # --- telling ---

    def tell(self) -> None:
        """Tell what is to be told; what cannot be told stays for the next run."""
        untold = self.studio.store.untold()
        changes = [one for one in untold if one.says is Says.CHANGED]
        if len(changes) >= self.config.group_from:
            self._tell(messages.many_changed(changes), changes)
            untold = [one for one in untold if one.says is not Says.CHANGED]
        for one in untold:
            if one.says is not None:
                self._tell(_TELLINGS[one.says](one), [one])

    def _tell(self, message: Message, pictures: Sequence[Picture]) -> None:
        try:
            for one in pictures:
                self._record(one)
            self.notifier.send(message)
        except AegisError as error:
            self.problems.append(f"{message.title}: not told: {error}")
            return
        for one in pictures:
            self.studio.store.told(one.id, self.now())

    def _record(self, picture: Picture) -> None:
        says = picture.says.value if picture.says else ""
        self.memory.record(
            EVENT_TYPE,
            messages.summary(picture),
            {
                "site": picture.site,
                "picture": picture.id,
                "what": says,
                "changed_ratio": picture.changed_ratio,
                "http_status": picture.http_status,
                "problem": picture.problem,
            },
            Importance.MEDIUM,
            tags=("sites", "pictures"),
            timestamp=picture.taken_at,
            key=f"picture:{says}:{picture.id}",
        )

    def _report(self, left: Sequence[str]) -> PicturesReport:
        log.info("pictures_taken", taken=self.taken, changed=len(self.changed), failed=len(self.failed))
        nothing = not self.rows and not left
        return PicturesReport(
            outcome=Outcome.DEGRADED if self.failed or self.problems or left else Outcome.COMPLETED,
            summary="Every site is in maintenance; nothing was done."
            if nothing
            else messages.run_sentence(
                taken=self.taken,
                changed=self.changed,
                failed=self.failed,
                left=len(left),
                problems=self.problems,
            ),
            taken=self.taken,
            changed=tuple(self.changed),
            failed=tuple(self.failed),
            left=tuple(left),
            rows=tuple(self.rows),
            problems=tuple(self.problems),
        )
