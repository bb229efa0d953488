// What the reader does, and what follows from it.

const KEYS = [
  ['← →', 'one step back, one on; with shift, ten'],
  ['[ ]', 'the step before, the step after on the same node'],
  ['Home End', 'first step, last step'],
  ['space', 'play, pause'],
  ['v', 'to the violation'],
  ['c', 'only the causal past of the chosen step (of the violation: v, then c)'],
  ['/', 'search; Enter and n go to the next match, p to the one before; Esc ends it'],
  ['m', 'with or without chatter: probes and keepalives'],
  ['+ −', 'zoom; the wheel does, too'],
  ['0', 'the whole run'],
  ['z', 'zoom to the chosen step'],
  ['s', 'all of the node’s state, or what the step changed'],
  ['e', 'export for ShiViz or Mermaid'],
  ['t', 'light, dark'],
  ['?', 'these keys'],
];

function choose(at, follow) {
  if (!steps.length) return;
  view.at = Math.max(0, Math.min(steps.length - 1, at));
  const t = steps[view.at].t;
  if (follow && (t < view.t0 || t > view.t1)) look(t - (view.t1 - view.t0) / 2, t + (view.t1 - view.t0) / 2);
  $('scrub').value = view.at;
  $('where').textContent = `${firstStep + view.at} of ${firstStep + steps.length - 1} · ${seconds(t)}`;
  window.history.replaceState(null, '', `#${history_.key}@${firstStep + view.at}`);
  showStep(); showState(); reveal(); redraw();
}

function look(t0, t1) {
  const least = 20, wide = Math.max(least, Math.min(end - start || least, t1 - t0));
  view.t0 = Math.max(start - wide * .02, Math.min(t0, end - wide * .9));
  view.t1 = view.t0 + wide;
  redraw();
}
const zoom = (factor, t) => look(t - (t - view.t0) * factor, t + (view.t1 - t) * factor);
const around = (at) => { const t = steps[at].t, wide = Math.min((end - start) / 4, 2e6); look(t - wide * .7, t + wide * .3); };

// The steps that the list and the canvas show.
function relist() {
  const keep = [];
  for (let at = 0; at < steps.length; at++) {
    const step = steps[at];
    if (view.past ? !view.past[at] : view.only >= 0 && step.lane !== view.only) continue;
    if (!view.chatter && at !== view.at && (isChatter(at) || isIdleTick(at))) continue;
    if (view.hits && !view.hits[at]) continue;
    keep.push(at);
  }
  view.listed = keep;
  document.documentElement.dataset.listed = keep.length;
  reveal(); redraw();
}

function search() {
  const term = $('search').value.trim().toLowerCase();
  view.hits = null;
  $('matches').textContent = '';
  if (term) {
    // `c1` is not `c12`: a number that was searched for does not go on.
    const digits = /\d$/.test(term);
    const finds = (text) => { for (let i = text.indexOf(term); i >= 0; i = text.indexOf(term, i + 1)) if (!digits || !/\d/.test(text[i + term.length] ?? '')) return true; return false; };
    view.hits = new Uint8Array(steps.length);
    let count = 0;
    for (let at = 0; at < steps.length; at++) if (finds(wordsOf(at))) { view.hits[at] = 1; count++; }
    $('matches').textContent = count === 1 ? '1 step' : `${count} steps`;
  }
  relist();
}
function nextListed(direction) {
  const index = below(view.listed, view.at), exact = view.listed[index] === view.at;
  const target = direction > 0 ? view.listed[exact ? index + 1 : index] : view.listed[index - 1];
  if (target !== undefined) choose(target, true);
}
function sameLane(direction) {
  const list = byLane[steps[view.at].lane], index = below(list, view.at) + direction;
  if (list[index] !== undefined) choose(list[index], true);
}
function togglePast() {
  view.past = view.past ? null : pastOf(view.at);
  $('past').setAttribute('aria-pressed', Boolean(view.past));
  notice();
  relist();
}
function toggleChatter() {
  view.chatter = !view.chatter;
  $('chatter').setAttribute('aria-pressed', view.chatter);
  relist();
}
function toPin() {
  if (!pins.length) return;
  const now = pins.findIndex((pin) => pin.at === view.at);
  const pin = pins[(now + 1) % pins.length];
  choose(pin.at, true);
  around(pin.at);
}

let playing = null;
function play() {
  if (playing) { clearInterval(playing); playing = null; } else {
    playing = setInterval(() => {
      const was = view.at;
      nextListed(1);
      if (view.at === was) play();
    }, 120);
  }
  $('play').textContent = playing ? 'stop' : 'play';
}
function theme() {
  const root = document.documentElement;
  root.dataset.theme = colours.dark ? 'light' : 'dark';
  readColours(); drawLegend(); redraw();
}

function notice() {
  const words = [];
  if (firstStep > 0) words.push(`The first ${firstStep} steps were left out: the page holds the last ${steps.length}. Keep more with --history-steps.`);
  if (view.past) words.push(`Only what step ${firstStep + view.at} can have been caused by is shown. c shows all again.`);
  if (drawn.left) words.push(`${drawn.messages} of ${drawn.messages + drawn.left} messages are drawn, those that were lost, late or copies first: zoom in for all.`);
  $('notice').textContent = words.join(' ');
  $('notice').hidden = !words.length;
}

function drawLegend() {
  const box = $('legend');
  box.replaceChildren();
  const sample = (label, paint) => {
    const wrap = make('span'), c = document.createElement('canvas');
    c.width = 68; c.height = 28; c.style.width = '34px'; c.style.height = '14px';
    const g = c.getContext('2d'); g.scale(2, 2); paint(g);
    wrap.append(c, label); box.append(wrap);
  };
  const line = (fate) => (g) => {
    g.strokeStyle = g.fillStyle = fate === 'lost' ? colours.bad : colours.message; g.lineWidth = 1.3;
    g.setLineDash(fate === 'lost' ? [4, 2] : fate === 'under_way' ? [1.5, 3] : fate === 'copy' ? [6, 2, 2, 2] : []);
    g.beginPath(); g.moveTo(1, 7);
    if (fate === 'late') g.quadraticCurveTo(18, -2, 30, 9); else g.lineTo(fate === 'lost' ? 20 : 30, 7);
    g.stroke(); g.setLineDash([]);
    const head = (px, full) => { g.beginPath(); g.moveTo(px + 2, fate === 'late' ? 10 : 7); g.lineTo(px - 5, 4); g.lineTo(px - 5, 10); g.closePath(); if (full) g.fill(); else { g.fillStyle = colours.back; g.fill(); g.stroke(); } };
    if (fate === 'arrived') head(30, true);
    if (fate === 'late') head(29, false);
    if (fate === 'unknown') { g.beginPath(); g.arc(28, 7, 3, 0, 7); g.stroke(); }
    if (fate === 'copy') { head(30, true); head(24, true); }
    if (fate === 'lost') { g.beginPath(); g.moveTo(17, 3); g.lineTo(25, 11); g.moveTo(25, 3); g.lineTo(17, 11); g.stroke(); }
  };
  sample('arrived', line('arrived')); sample('late', line('late')); sample('lost', line('lost')); sample('copy', line('copy')); sample('under way', line('under_way'));
  if (lanes.some((lane) => lane.remote)) sample('not known', line('unknown'));
  const shade = (kind) => (g) => { if (kind === 'down') { g.fillStyle = colours.down; g.fillRect(1, 1, 32, 12); } g.fillStyle = pattern(g, kind); g.globalAlpha = .8; g.fillRect(1, 1, 32, 12); };
  sample('cannot send to a node', shade('cut')); sample('paused', shade('pause')); sample('down', shade('down'));
  const bar = (passive) => (g) => { g.fillStyle = childColour('c1'); g.fillRect(1, 2, 32, 10); if (passive) { g.fillStyle = pattern(g, 'passive'); g.fillRect(1, 2, 32, 10); } };
  sample('a child’s active copy', bar(false)); sample('passive, frozen or standing by', bar(true));
  sample('starting', (g) => { g.strokeStyle = childColour('c1'); g.strokeRect(1.5, 4, 31, 6); });
  sample('quorum held', (g) => { g.fillStyle = colours.good; g.globalAlpha = .55; g.fillRect(1, 4, 32, 6); });
  sample('locked', (g) => { g.fillStyle = pattern(g, 'locked'); g.fillRect(1, 4, 32, 6); g.strokeStyle = colours.bad; g.strokeRect(1, 4, 32, 6); });
}

// ---- mouse

function hit(px, py) {
  let best = null, near = 7;
  for (let index = targets.length - 1; index >= 0; index--) {
    const it = targets[index];
    if (it.kind === 'step') { const d = Math.hypot(it.px - px, it.py - py); if (d < near) { near = d; best = it; } }
    else if (it.kind === 'message') { const d = toSegment(px, py, it) + 2; if (d < near) { near = d; best = it; } }
    else if (!best && px >= it.left && px <= it.right && py >= it.top && py <= it.bottom && !it.low) return it;
  }
  return best ?? targets.findLast((it) => it.low && px >= it.left && px <= it.right && py >= it.top && py <= it.bottom);
}
function toSegment(px, py, { x1, y1, x2, y2 }) {
  const long = (x2 - x1) ** 2 + (y2 - y1) ** 2;
  const part = long ? Math.max(0, Math.min(1, ((px - x1) * (x2 - x1) + (py - y1) * (y2 - y1)) / long)) : 0;
  return Math.hypot(px - x1 - part * (x2 - x1), py - y1 - part * (y2 - y1));
}
let drag = null;
canvas.addEventListener('pointerdown', (event) => { drag = { x: event.offsetX, t0: view.t0, t1: view.t1, moved: false }; canvas.setPointerCapture(event.pointerId); });
canvas.addEventListener('pointermove', (event) => {
  if (drag) {
    if (Math.abs(event.offsetX - drag.x) > 3) drag.moved = true;
    if (drag.moved) { const by = (drag.x - event.offsetX) / (size.w - GUTTER - 8) * (drag.t1 - drag.t0); look(drag.t0 + by, drag.t1 + by); }
    return;
  }
  const it = event.offsetX > GUTTER ? hit(event.offsetX, event.offsetY) : null;
  const was = view.hover?.message;
  view.hover = it && it.kind === 'message' ? it : null;
  if (was !== view.hover?.message) redraw();
  const tip = $('tip');
  tip.hidden = !it;
  canvas.style.cursor = it && it.kind !== 'box' ? 'pointer' : 'default';
  if (it) {
    tip.textContent = it.text;
    tip.style.left = `${Math.min(event.offsetX + 14, size.w - 390)}px`;
    tip.style.top = `${Math.min(event.offsetY + 16, size.h - 40)}px`;
  }
});
canvas.addEventListener('pointerleave', () => { $('tip').hidden = true; view.hover = null; redraw(); });
canvas.addEventListener('pointerup', (event) => {
  const moved = drag?.moved;
  drag = null;
  if (moved) return;
  const it = hit(event.offsetX, event.offsetY);
  if (it?.kind === 'step') choose(it.at, false);
  else if (it?.kind === 'message') { const message = messages[it.message]; choose(message.handledStep >= 0 ? message.handledStep : message.sentStep, false); }
  else if (it?.kind === 'instance') { $('search').value = it.it.child; search(); }
  else choose(nearest(timeAt(event.offsetX)), false);
});
// The listed step nearest in time.
function nearest(t) {
  const index = below(view.listed, firstAt(t)), pair = [view.listed[index - 1], view.listed[index]].filter((at) => at !== undefined);
  return pair.sort((a, b) => Math.abs(steps[a].t - t) - Math.abs(steps[b].t - t))[0] ?? view.at;
}
canvas.addEventListener('wheel', (event) => {
  event.preventDefault();
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) { const by = event.deltaX / size.w * (view.t1 - view.t0); look(view.t0 + by, view.t1 + by); }
  else zoom(Math.exp(event.deltaY / 400), timeAt(Math.max(GUTTER, event.offsetX)));
}, { passive: false });
const scrubOverview = (event) => {
  const box = overview.getBoundingClientRect(), t = start + (event.clientX - box.left - GUTTER) / (box.width - GUTTER - 8) * (end - start);
  const half = (view.t1 - view.t0) / 2;
  look(t - half, t + half);
};
overview.addEventListener('pointerdown', (event) => { overview.setPointerCapture(event.pointerId); scrubOverview(event); });
overview.addEventListener('pointermove', (event) => { if (event.buttons) scrubOverview(event); });

// ---- keyboard

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector('dialog[open]')) return;
  if (event.target === $('search')) {
    if (event.key === 'Enter') { nextListed(event.shiftKey ? -1 : 1); event.preventDefault(); }
    if (event.key === 'Escape') { $('search').value = ''; search(); canvas.focus(); }
    return;
  }
  if (event.target.matches?.('select, input[type=range]') && event.key.startsWith('Arrow')) return;
  if (event.key === ' ' && event.target.matches?.('button')) return;
  const middle = steps[view.at] && steps[view.at].t >= view.t0 && steps[view.at].t <= view.t1 ? steps[view.at].t : (view.t0 + view.t1) / 2;
  const act = {
    ArrowLeft: () => { for (let i = 0; i < (event.shiftKey ? 10 : 1); i++) nextListed(-1); },
    ArrowRight: () => { for (let i = 0; i < (event.shiftKey ? 10 : 1); i++) nextListed(1); },
    Home: () => choose(0, true), End: () => choose(steps.length - 1, true),
    '[': () => sameLane(-1), ']': () => sameLane(1),
    ' ': play, v: toPin, c: togglePast, m: toggleChatter, n: () => nextListed(1), p: () => nextListed(-1),
    '/': () => $('search').select(), '+': () => zoom(.6, middle), '=': () => zoom(.6, middle), '-': () => zoom(1.7, middle),
    0: () => look(start, end), z: () => around(view.at), s: () => $('whole').click(), e: () => $('export').click(), t: theme,
    '?': () => $('keys').showModal(),
    Escape: () => { if (view.past) togglePast(); $('search').value = ''; search(); },
  }[event.key];
  if (act) { event.preventDefault(); act(); }
});

const on = (id, event, act) => $(id).addEventListener(event, act);
on('first', 'click', () => choose(0, true)); on('last', 'click', () => choose(steps.length - 1, true));
on('back', 'click', () => nextListed(-1)); on('on', 'click', () => nextListed(1)); on('play', 'click', play);
on('pin', 'click', toPin); on('past', 'click', togglePast); on('chatter', 'click', toggleChatter); on('theme', 'click', theme);
on('help', 'click', () => $('keys').showModal());
on('scrub', 'input', () => choose(+$('scrub').value, true));
on('search', 'input', search); on('whole', 'change', showState); on('list', 'scroll', showList);
on('about', 'click', () => $('about').classList.toggle('open'));
on('only', 'change', () => { view.only = +$('only').value; relist(); });
on('export', 'click', () => { $('exports').showModal(); exported('shiviz'); });
on('shiviz', 'click', () => exported('shiviz')); on('mermaid', 'click', () => exported('mermaid'));
on('copy', 'click', () => { $('text').select(); navigator.clipboard?.writeText($('text').value).catch(() => document.execCommand('copy')); });
window.addEventListener('resize', () => { redraw(); showList(); });
window.addEventListener('hashchange', () => fromLink());
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { readColours(); drawLegend(); redraw(); });

// A link names the run and the step: `#seed@step`.
function fromLink() {
  const found = /^#(.*)@(\d+)$/.exec(decodeURIComponent(location.hash));
  if (!found) return false;
  if (found[1] !== history_.key) {
    $('notice').hidden = false;
    $('notice').textContent = `The link is to a step of ${found[1]}; this page shows ${history_.key}.`;
    return false;
  }
  choose(+found[2] - firstStep, true);
  return true;
}

// ---- begin

$('title').textContent = history_.title;
$('about').textContent = `${history_.about}${history_.repeat ? ` · repeat: ${history_.repeat}` : ''}`;
$('about').title = $('about').textContent;
// A record of one node has no oracles: it says nothing of what must hold.
$('verdict').textContent = pins.length === 0 ? (lanes.some((lane) => lane.remote) ? '' : 'nothing was violated') : pins.map((pin) => `${pin.rule} violated`).filter((it, at, all) => all.indexOf(it) === at).join(', ');
$('verdict').className = pins.length ? 'bad' : 'good';
$('pin').hidden = !pins.length;
$('scrub').max = Math.max(0, steps.length - 1);
$('only').append(new Option('every node', -1), ...lanes.map((lane, index) => new Option(lane.name, index)));
for (const [keys, what] of KEYS) {
  const row = make('tr'), cell = make('td');
  keys.split(' ').forEach((key) => cell.append(make('kbd', key), ' '));
  row.append(cell, make('td', what));
  $('keytable').append(row);
}
readColours();
drawLegend();
notice();
relist();
if (!fromLink()) { choose(pins.length ? pins[0].at : 0, false); if (pins.length) around(pins[0].at); else look(start, end); }
else around(view.at);
document.documentElement.dataset.ready = 'yes';
