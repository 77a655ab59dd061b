(() => {
  const [address, version] = document.currentScript.src.split("/script.js?")
  const { seen, loaded = [] } = JSON.parse(sessionStorage.fapwsRefresh || "{}")
  let stream
  const listen = () => {
    stream?.close()
    if (document.hidden) return
    stream = new EventSource(address)
    stream.onmessage = async event => {
      if (event.data == version || event.data == seen) return
      const own = performance.getEntriesByType("resource")
        .filter(({ name, initiatorType }) => name.startsWith(location.origin + "/") && !name.startsWith(address) &&
          ["link", "css", "script"].includes(initiatorType))
        .map(({ name }) => name)
      const names = own.length ? own : loaded
      sessionStorage.fapwsRefresh = JSON.stringify({ seen: event.data, loaded: names })
      await Promise.allSettled(names.map(name =>
        fetch(name, { cache: "reload", signal: AbortSignal.timeout(2000) })))
      location.reload()
    }
    stream.onerror = () => {
      if (stream.readyState == EventSource.CLOSED) setTimeout(listen, 1000)
    }
  }
  document.addEventListener("visibilitychange", listen)
  listen()
})()
