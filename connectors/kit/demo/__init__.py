"""The demo's world: invented companies, contracts and milestones around a fixed day."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors.kit.sandbox.world import World

AS_OF = date(2026, 11, 20)
_ZONE = ZoneInfo("Asia/Shanghai")


def _on(day: date, hour: int = 15) -> datetime:
    return datetime(day.year, day.month, day.day, hour, 20, tzinfo=_ZONE)


def demo_world() -> World:
    """Milestones as the sandbox shows them on the demo's day."""
    world = World(tenant="huikuan-demo", now=int(_on(AS_OF, 18).timestamp()))
    _park(world)
    _others(world)
    return world


def _park(world: World) -> None:
    park = world.add_project("ZHYQ", "智慧园区平台")
    first = world.add(park, "初验", planned=_on(date(2026, 11, 10)))
    world.move(first, "已完成", _on(date(2026, 11, 12)), "李强")
    world.add(park, "终验", planned=_on(date(2027, 1, 22)))
    mes = world.add_project("MES", "车间 MES 二期")
    done = world.add(mes, "上线", planned=_on(date(2026, 10, 30)))
    world.move(done, "已完成", _on(date(2026, 10, 28)), "王敏")
    accepted = world.add(mes, "验收", planned=_on(date(2026, 11, 16)))
    world.move(accepted, "已完成", _on(date(2026, 11, 17)), "王敏")
    back = world.add(mes, "培训", planned=_on(date(2026, 11, 5)))
    world.move(back, "已完成", _on(date(2026, 11, 5)), "王敏")
    world.move(back, "进行中", _on(date(2026, 11, 13)), "赵倩")
    data = world.add_project("DATA", "数据中台")
    bulk = world.add(data, "数据迁移", planned=_on(date(2026, 11, 1)))
    world.move(bulk, "已完成", _on(date(2026, 11, 3)), "", silent=True)
    world.add(data, "联调", planned=_on(date(2026, 12, 8)), salt="a")
    world.add(data, "联调", planned=_on(date(2026, 12, 15)), salt="b")
    data.total, data.completed = 40, 23


def _others(world: World) -> None:
    rollout = world.add_project("WMS", "Warehouse rollout")
    for number, (title, day) in enumerate((("Design approved", date(2026, 9, 4)), ("Go-live", date(2026, 11, 9)))):
        step = world.add(rollout, title, planned=_on(day))
        world.move(step, "已完成", _on(day + timedelta(days=number)), "Anna Vogel")
    world.add(rollout, "Hypercare ends", planned=_on(date(2026, 12, 18)))
    odd = world.add_project("ODD", '=HYPERLINK("http://evil.example","click"), 特殊 🚧')
    strange = world.add(odd, '=1+1, "交付" 🚧', planned=_on(date(2026, 11, 18)))
    world.move(strange, "已完成", _on(date(2026, 11, 18)), "孙悦")


def write_demo(folder: Path, base_url: str) -> Path:
    """The demo's contracts and configuration in a folder; returns the configuration file."""
    target = folder / "contracts"
    target.mkdir(parents=True, exist_ok=True)
    for source in sorted(resources.files(__name__).joinpath("contracts").iterdir(), key=lambda p: p.name):
        if source.name.endswith(".yaml"):
            (target / source.name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    template = resources.files(__name__).joinpath("huikuan.toml").read_text(encoding="utf-8")
    config = folder / "huikuan.toml"
    config.write_text(template.replace("@BASE_URL@", base_url), encoding="utf-8")
    return config
