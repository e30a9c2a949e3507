// Browsers start no workers from files, so that a site opened from the disk could not be searched:
// the search runs in a hidden frame there. The offline plugin knows this file by its name.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      this.inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const page = this.inside.document;
      page.open(); // no later loading of the empty page can undo what is written
      page.append(page.createElement("html"));
      const script = page.createElement("script");
      this.ready = new Promise((done) => { script.onload = done; }).then(() => page.close());
      script.src = new URL(url, location);
      page.documentElement.append(script);
    }

    async postMessage(data) {
      await this.ready;
      this.inside.dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
