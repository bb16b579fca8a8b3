// Browsers start no worker for a page that was opened as a file (file://). Here the search's worker
// runs in a hidden frame instead; on a server this file does nothing.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.onmessage = null
      this.waiting = []
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.appendChild(frame)
      this.inside = frame.contentWindow
      window.addEventListener("message", event => {
        if (event.source !== this.inside) return
        const told = new MessageEvent("message", { data: event.data })
        this.dispatchEvent(told)
        if (this.onmessage) this.onmessage(told)
      })
      const page = this.inside.document
      page.open()
      page.write("<!doctype html><title>search</title>")
      page.close()
      this.load(page, url)
    }

    load(page, url) {
      // What the worker posts goes to the page that made it, from the frame.
      const script = page.createElement("script")
      script.textContent = `
        window.importScripts = (...urls) => urls.reduce((done, url) => done.then(() =>
          new Promise((good, bad) => {
            const script = document.createElement("script")
            script.src = url
            script.onload = good
            script.onerror = bad
            document.body.appendChild(script)
          })), Promise.resolve())
        window.postMessage = data => parent.dispatchEvent(
          new MessageEvent("message", { data, source: window }))
      `
      page.body.appendChild(script)
      const worker = page.createElement("script")
      worker.src = url
      worker.onload = () => {
        this.ready = true
        this.waiting.splice(0).forEach(data => this.postMessage(data))
      }
      page.body.appendChild(worker)
    }

    postMessage(data) {
      if (!this.ready) return void this.waiting.push(data)
      this.inside.dispatchEvent(new MessageEvent("message", { data }))
    }

    terminate() {}
  }
}
