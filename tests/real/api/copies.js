// What the page shows of looks in which the data are replicated: DRBD itself needs a kernel of its own.
(async () => {
    const look = await fetch("/api/v1/status").then((answer) => answer.json());
    const { show } = await import("/page/cluster.js");
    const said = {};
    const shown = (name, copy, outdated) => {
        Object.assign(look.report.queue_managers[0], { replicated: true, copy, outdated });
        show(look, {});
        const bar = document.querySelector(".qm .sync");
        const text = document.querySelector(".qm .copies");
        said[name] = [
            text.textContent.includes("43 %"), text.className, bar.hidden, Number(bar.getAttribute("aria-valuenow")),
        ];
    };
    const copy = { situation: "resync", role: "Primary", connection: "SyncSource", disk: "UpToDate", peer_disk: "Inconsistent" };
    shown("resync", { ...copy, percent: 43.2 }, ["b"]);
    shown("good", { ...copy, situation: "in_sync", peer_disk: "UpToDate", percent: null }, []);
    shown("unknown", null, []);
    return said;
})();
