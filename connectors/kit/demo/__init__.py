"""The demo's world: invented companies, contracts and milestones around a fixed day.

Together the contracts show what a night can say: ready now, blocked by a milestone, by a document or by a
reopened milestone, waiting for time, silence that counts as acceptance, progress, an ambiguous name, a change
nobody can prove, a price without tax abroad, releases as milestones, an approval, and hostile text. Older
contracts have been invoiced and paid, so that the forecast knows how customers behave; a night a week earlier
saw one of their milestones before it slipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors.kit.sandbox.world import Project, World

AS_OF = date(2026, 11, 20)
#: The night before the one that is shown; it knew the older contracts only.
EARLIER = date(2026, 11, 13)
HISTORY, HISTORY_PROJECT = "history.yaml", "CARE"
_ZONE = ZoneInfo("Asia/Shanghai")
DONE, UNDER_WAY = "已完成", "进行中"


@dataclass(frozen=True, slots=True)
class _Stage:
    """Puts things into the world on days told as they are on the demo's day."""

    world: World
    shift: timedelta

    def on(self, day: str, hour: int = 15) -> datetime:
        """An instant of that day in China."""
        moment = date.fromisoformat(day) + self.shift
        return datetime(moment.year, moment.month, moment.day, hour, 20, tzinfo=_ZONE)

    def open(self, project: Project, title: str, planned: str, *, kind: str = "里程碑", salt: str = "") -> None:
        """A milestone that is still to come."""
        self.world.add(project, title, planned=self.on(planned), kind=kind, salt=salt)

    def done(self, project: Project, title: str, planned: str, on: str, by: str, *, kind: str = "里程碑") -> None:
        """A milestone that a person completed."""
        item = self.world.add(project, title, planned=self.on(planned), kind=kind)
        self.world.move(item, UNDER_WAY, self.on(on, 9) - timedelta(days=14), by)
        self.world.move(item, DONE, self.on(on), by)


def demo_world(as_of: date = AS_OF) -> World:
    """Milestones as the sandbox shows them on the demo's day; on another day all of them move along."""
    moment = datetime(as_of.year, as_of.month, as_of.day, 18, 20, tzinfo=_ZONE)
    world = World(tenant="huikuan-demo", now=int(moment.timestamp()))
    stage = _Stage(world, as_of - AS_OF)
    for scene in _SCENES:
        scene(stage)
    return world


def _park(stage: _Stage) -> None:
    park = stage.world.add_project("ZHYQ", "智慧园区平台", system="pingcode", hetongbianhao="HT-2026-018")
    stage.done(park, "初验", "2026-11-10", "2026-11-12", "李强")
    stage.open(park, "终验", "2027-01-22")


def _mes(stage: _Stage) -> None:
    """Training was completed and then reopened."""
    mes = stage.world.add_project("MES", "车间 MES 二期", system="pingcode", hetongbianhao="HT-2026-031")
    stage.done(mes, "上线", "2026-10-30", "2026-10-28", "王敏")
    stage.done(mes, "验收", "2026-11-16", "2026-11-17", "王敏")
    stage.done(mes, "培训", "2026-11-05", "2026-11-05", "王敏")
    stage.world.move(stage.world.find("培训"), UNDER_WAY, stage.on("2026-11-13"), "赵倩")


def _data(stage: _Stage) -> None:
    """A bulk change without a trace, two milestones of one name, and progress past the half."""
    data = stage.world.add_project("DATA", "数据中台", system="pingcode", hetongbianhao="HT-2026-044")
    bulk = stage.world.add(data, "数据迁移", planned=stage.on("2026-11-01"))
    stage.world.move(bulk, DONE, stage.on("2026-11-03"), silent=True)
    stage.open(data, "联调", "2026-12-08", salt="a")
    stage.open(data, "联调", "2026-12-15", salt="b")
    data.total, data.completed = 40, 23


def _lighting(stage: _Stage) -> None:
    light = stage.world.add_project(
        "LIGHT", "城市照明节能改造", "hybrid", system="pingcode", hetongbianhao="HT-2026-063"
    )
    stage.done(light, "到货", "2026-07-10", "2026-07-08", "何婷")
    stage.done(light, "安装调试", "2026-10-20", "2026-10-23", "何婷", kind="阶段")


def _port(stage: _Stage) -> None:
    port = stage.world.add_project("PORT", "港口数据接口", system="pingcode", hetongbianhao="HT-2026-071")
    stage.done(port, "报关接口", "2026-10-15", "2026-10-16", "沈岚")
    stage.done(port, "泊位接口", "2026-11-12", "2026-11-11", "沈岚")
    stage.open(port, "堆场接口", "2026-12-04")


def _bank(stage: _Stage) -> None:
    """Releases; the date of a stage is typed in by a person."""
    sdk = stage.world.add_project("SDK", "Mobile banking SDK", "hybrid", system="pingcode")
    first = stage.world.add_release(sdk, "SDK 2.0", stage.on("2026-09-01"), stage.on("2026-11-06"))
    stage.world.stage(first, UNDER_WAY, stage.on("2026-09-02"), "Maya Lindqvist")
    stage.world.stage(first, "已发布", stage.on("2026-11-05"), "Maya Lindqvist")
    stage.world.add_release(sdk, "SDK 2.1", stage.on("2026-11-09"), stage.on("2026-12-18"))


def _rollout(stage: _Stage) -> None:
    rollout = stage.world.add_project("WMS", "Warehouse rollout", system="worktile")
    stage.done(rollout, "Design approved", "2026-09-04", "2026-09-04", "Anna Vogel")
    stage.done(rollout, "Go-live", "2026-11-09", "2026-11-10", "Anna Vogel")
    stage.open(rollout, "Hypercare ends", "2026-12-18")


def _odd(stage: _Stage) -> None:
    """Text from outside is hostile."""
    odd = stage.world.add_project("ODD", '=HYPERLINK("http://evil.example","click"), 特殊 🚧', system="worktile")
    stage.done(odd, '=1+1, "交付" 🚧', "2026-11-18", "2026-11-18", "孙悦")


def _care(stage: _Stage) -> None:
    care = stage.world.add_project("CARE", "产线数据采集", system="pingcode", hetongbianhao="HT-2025-093")
    stage.open(care, "二期验收", "2026-12-21")


@contextmanager
def before_the_slip(world: World) -> Iterator[None]:
    """The world as the earlier night found it: a milestone planned three weeks earlier."""
    item = world.find("二期验收")
    now, item.planned = item.planned, (item.planned or 0) - 21 * 86_400
    yield
    item.planned, item.updated_at = now, world.now - 3 * 86_400


_SCENES: tuple[Callable[[_Stage], None], ...] = (_park, _mes, _data, _lighting, _port, _bank, _rollout, _odd, _care)


def write_demo(folder: Path, rd_url: str, ops_url: str | None = None) -> Path:
    """The demo's contracts, documents and configuration in a folder; returns the configuration file.

    `ops_url` is where Worktile is served; the same sandbox serves both where it is left out.
    """
    target = folder / "contracts"
    target.mkdir(parents=True, exist_ok=True)
    for source in resources.files(__name__).joinpath("contracts").iterdir():
        if source.name.endswith(".yaml"):
            (target / source.name).write_bytes(source.read_bytes())
    (folder / "documents.csv").write_bytes(resources.files(__name__).joinpath("documents.csv").read_bytes())
    template = resources.files(__name__).joinpath("huikuan.toml").read_text(encoding="utf-8")
    config = folder / "huikuan.toml"
    text = template.replace("@RD_URL@", rd_url).replace("@OPS_URL@", ops_url or rd_url)
    config.write_text(text, encoding="utf-8")
    return config
