// The explorer in a built page: wires its controls to the chart, which takes the picture's place.
// A classic script, so that it also runs in a page opened from disk.
(() => {
  const here = document.currentScript.src;
  let loading; // Vega is large: one promise, made when the first chart comes into sight

  function loadVega() {
    loading ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL("vega.js", here).href;
      script.onload = () => resolve(window.vegaEmbed);
      script.onerror = () => reject(new Error("The chart stays a picture: vega.js did not load."));
      document.head.append(script);
    });
    return loading;
  }

  // Draw the chart as wide as its column, and the text as large as before. Rows get one width, which Vega then
  // calls `width`; a chart of several columns keeps its own, and the style sheet scales it.
  function fitter(spec, stage, chart) {
    const rows = spec.vconcat ?? [spec];
    const able = rows.every((row) => row.mark || row.layer);
    const widest = Math.max(...rows.map((row) => row.width || Infinity));
    if (able) for (const row of rows) row.width = Math.min(widest, chart.clientWidth);
    return async (view) => {
      if (!able || !chart.clientWidth) return;
      const now = view.width();
      const drawn = stage.querySelector("svg").width.baseVal.value;
      const width = Math.max(120, Math.min(widest, Math.floor(now + chart.clientWidth - drawn)));
      if (width !== now) await view.width(width).runAsync();
    };
  }

  function controls(figure, changed) {
    const inputs = [...figure.querySelectorAll("[data-signal]")];
    const reset = figure.querySelector(".explorer-reset");
    const show = (input) => {
      if (input.type !== "range") return;
      const text = JSON.parse(input.dataset.texts)[Number(input.value)];
      input.setAttribute("aria-valuetext", text);
      input.parentElement.querySelector("output").textContent = text;
    };
    for (const input of inputs) {
      input.addEventListener("input", () => { show(input); changed(); });
    }
    reset?.addEventListener("click", () => {
      for (const input of inputs) { input.value = input.dataset.start; show(input); }
      changed();
    });
    for (const part of figure.querySelectorAll(".explorer-controls, .explorer-reset")) part.hidden = false;
    return () => inputs.map((input) => [input.dataset.signal, Number(input.value)]);
  }

  function start(figure) {
    const chart = figure.querySelector(".explorer-chart");
    let view;
    const draw = async () => {
      if (!view) return; // not loaded yet: the values are read when it is
      for (const [signal, value] of values()) view.signal(signal, value);
      await view.runAsync();
    };
    const values = controls(figure, draw);

    const show = async () => {
      const vegaEmbed = await loadVega();
      const spec = JSON.parse(figure.querySelector(".explorer-spec").textContent);
      spec.config = { ...spec.config, font: getComputedStyle(figure).fontFamily };
      const stage = document.createElement("div");
      const fitWidth = fitter(spec, stage, chart);
      const fit = async () => {
        await fitWidth(view);
        // What is wider than its column shrinks while its text stays legible, and scrolls beyond that.
        stage.style.minWidth = `${0.9 * stage.querySelector("svg").width.baseVal.value}px`;
        if (chart.scrollWidth > chart.clientWidth) chart.tabIndex = 0;
        else chart.removeAttribute("tabindex");
      };
      ({ view } = await vegaEmbed(stage, spec, { actions: false, renderer: "svg" }));
      await draw();
      chart.replaceChildren(stage);
      await fit();
      figure.dataset.ready = "";
      new ResizeObserver(fit).observe(chart);
    };

    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      show().catch((error) => {
        for (const part of figure.querySelectorAll(".explorer-controls, .explorer-reset")) part.hidden = true;
        console.error(error);
      });
    }, { rootMargin: "400px" }).observe(figure);
  }

  document.querySelectorAll("figure.explorer").forEach(start);
})();
