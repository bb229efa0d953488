// The timeline: lanes on a canvas. What is where on it is kept for the mouse.

const view = { t0: start, t1: end, at: 0, past: null, chatter: false, hits: null, only: -1, hover: null, listed: [] };
const canvas = document.getElementById('lanes'), overview = document.getElementById('overview');
const GUTTER = 86, AXIS = 26, BAR = 13, MOST_ROWS = 7, MOST_DRAWN = 5000;
let colours = {}, targets = [], size = { w: 0, h: 0 }, laneTops = [], drawn = { messages: 0, left: 0 };

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ['back', 'panel', 'ink', 'soft', 'line', 'faint', 'accent', 'bad', 'good', 'warn', 'message', 'hatch', 'pause', 'down'])
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  colours.dark = getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((sum, c) => sum + +c, 0) < 380;
  patterns = {};
}
let patterns = {};
// Shading that is told apart by its lines, not by its colour alone.
function pattern(g, kind) {
  if (patterns[kind]) return patterns[kind];
  const tile = document.createElement('canvas'), step = 8;
  tile.width = tile.height = step;
  const p = tile.getContext('2d');
  p.lineWidth = 1.2;
  p.strokeStyle = { cut: colours.hatch, pause: colours.pause, down: colours.soft, locked: colours.bad, passive: colours.panel }[kind];
  p.globalAlpha = kind === 'down' ? .35 : kind === 'locked' || kind === 'passive' ? .95 : .6;
  p.beginPath();
  if (kind === 'pause') { p.moveTo(2, 0); p.lineTo(2, step); p.moveTo(6, 0); p.lineTo(6, step); }
  else if (kind === 'cut' || kind === 'locked' || kind === 'passive') {
    for (const x of [-step, 0, step]) { p.moveTo(x - 1, step + 1); p.lineTo(x + step + 1, -1); }
  } else { for (const x of [0, step]) { p.moveTo(x - 1, step + 1); p.lineTo(x + 1 + step, -1); p.moveTo(x - step - 1, -1); p.lineTo(x + 1, step + 1); } }
  p.stroke();
  return patterns[kind] = g.createPattern(tile, 'repeat');
}
// Names that differ by a little are far apart in colour.
const hueOf = (text) => { let h = 7; for (const c of text) h = (h * 31 + c.codePointAt(0)) % 100003; return h * 137.508 % 360; };
const childColour = (child) => `hsl(${hueOf(child)} ${colours.dark ? '42% 42%' : '55% 72%'})`;

const x = (t) => GUTTER + (t - view.t0) / Math.max(1, view.t1 - view.t0) * (size.w - GUTTER - 8);
const timeAt = (px) => view.t0 + (px - GUTTER) / (size.w - GUTTER - 8) * (view.t1 - view.t0);
// The line of a lane that messages leave and reach.
const lineOf = (lane) => laneTops[lane].y + 16;

function layOut() {
  const rows = lanes.map((_, lane) => Math.min(MOST_ROWS, 1 + spans[lane].instances.reduce((most, it) => Math.max(most, it.row), -1)));
  const wanted = rows.map((count, lane) => 40 + count * (BAR + 2) + (lanes[lane].remote ? -8 : 8));
  const room = size.h - AXIS - 4, sum = wanted.reduce((a, b) => a + b, 0);
  const scale = Math.max(.45, Math.min(2, room / sum));
  let y = AXIS;
  laneTops = wanted.map((height, lane) => {
    const h = height * scale, top = { y, h, rows: Math.max(0, Math.min(rows[lane], Math.floor((h - 34) / (BAR + 2)))) };
    y += h;
    return top;
  });
}

function fit(element) {
  const ratio = window.devicePixelRatio || 1, box = element.getBoundingClientRect();
  const w = Math.max(50, Math.floor(box.width)), h = Math.max(20, Math.floor(box.height));
  if (element.width !== Math.round(w * ratio) || element.height !== Math.round(h * ratio)) {
    element.width = Math.round(w * ratio); element.height = Math.round(h * ratio);
  }
  const g = element.getContext('2d');
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, w, h);
  return { g, w, h };
}

let planned = false;
function redraw() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => { planned = false; draw(); drawOverview(); });
}

function draw() {
  const { g, w, h } = fit(canvas);
  size = { w, h };
  targets = [];
  layOut();
  g.font = '11px system-ui, sans-serif';
  g.textBaseline = 'middle';
  g.save();
  g.beginPath(); g.rect(GUTTER, 0, w - GUTTER, h); g.clip();
  lanes.forEach((_, lane) => drawLane(g, lane));
  drawAxis(g);
  drawMessages(g);
  drawSteps(g);
  drawMarks(g);
  g.restore();
  lanes.forEach((lane, index) => drawName(g, lane, index));
}

function visible(a, b) { return b >= view.t0 && a <= view.t1; }
function box(g, from, to, y, h) {
  const left = Math.max(GUTTER - 2, x(from)), right = Math.min(size.w + 2, x(to));
  g.rect(left, y, Math.max(1, right - left), h);
  return [left, right];
}

function drawLane(g, lane) {
  const { y, h } = laneTops[lane], s = spans[lane];
  if (lane % 2) { g.fillStyle = colours.faint; g.globalAlpha = .45; g.fillRect(GUTTER, y, size.w, h); g.globalAlpha = 1; }
  const shade = (list, kind, words) => {
    for (const [from, to, extra] of list) {
      if (!visible(from, to)) continue;
      g.beginPath();
      const [left, right] = box(g, from, to, y + 1, h - 2);
      if (kind === 'down') { g.fillStyle = colours.down; g.globalAlpha = .85; g.fill(); g.globalAlpha = 1; }
      g.fillStyle = pattern(g, kind); g.globalAlpha = kind === 'cut' ? .55 : .8; g.fill(); g.globalAlpha = 1;
      targets.push({ kind: 'box', left, right, top: y, bottom: y + h, low: true, text: `${lanes[lane].name} ${words(extra)}: ${span(to - from)}, from ${seconds(from)}` });
    }
  };
  // Cuts of several directions that overlap are shaded once for each: the more are cut, the darker.
  shade(s.cut, 'cut', (peer) => `cannot send to ${lanes[peer].name}`);
  shade(s.pause, 'pause', () => 'handles nothing (paused)');
  shade(s.down, 'down', () => 'is down');
  g.strokeStyle = colours.line; g.lineWidth = 1;
  g.beginPath(); g.moveTo(GUTTER, lineOf(lane) + .5); g.lineTo(size.w, lineOf(lane) + .5); g.stroke();
  labelCuts(g, lane);
  drawQuorum(g, lane);
  drawInstances(g, lane);
}

function labelCuts(g, lane) {
  const { y } = laneTops[lane];
  g.fillStyle = colours.soft; g.font = '10px system-ui, sans-serif';
  let clear = -Infinity;
  const word = (from, to, text) => {
    if (!visible(from, to)) return;
    const left = Math.max(GUTTER + 3, x(from) + 3), wide = g.measureText(text).width;
    if (left < clear || left + wide > x(to)) return;
    g.fillText(text, left, y + 6.5);
    clear = left + wide + 8;
  };
  const s = spans[lane];
  [...s.down.map((it) => [...it, 'down']), ...s.pause.map((it) => [...it, 'paused']), ...s.cut.map(([a, b, peer]) => [a, b, `✂ ${lanes[peer].name}`])]
    .sort((a, b) => a[0] - b[0]).forEach(([a, b, text]) => word(a, b, text));
  g.font = '11px system-ui, sans-serif';
}

function drawQuorum(g, lane) {
  const y = lineOf(lane) + 8;
  for (const [from, to, value] of spans[lane].quorum) {
    if (!visible(from, to)) continue;
    const [phase, count] = value.split('|');
    g.beginPath();
    const [left, right] = box(g, from, to, y, 6);
    g.fillStyle = phase === 'locked' ? pattern(g, 'locked') : phase === 'ready' ? colours.good : colours.soft;
    g.globalAlpha = phase === 'ready' ? .55 : phase === 'locked' ? 1 : .3;
    g.fill();
    if (phase === 'locked') { g.strokeStyle = colours.bad; g.stroke(); }
    g.globalAlpha = 1;
    if (right - left > 14) { g.fillStyle = colours.ink; g.font = '9px system-ui, sans-serif'; g.fillText(count, left + 3, y + 3.4); g.font = '11px system-ui, sans-serif'; }
    targets.push({ kind: 'box', left, right, top: y - 1, bottom: y + 7, text: `${lanes[lane].name}: ${phase === 'locked' ? 'locked: its quorum is lost' : phase}, ${count} in its view, for ${span(to - from)}` });
  }
}

function drawInstances(g, lane) {
  const top = lineOf(lane) + 18, rows = laneTops[lane].rows;
  let hidden = 0;
  for (const it of spans[lane].instances) {
    const to = it.to ?? end;
    if (!visible(it.from, to)) continue;
    if (it.row >= rows) { hidden++; continue; }
    const y = top + it.row * (BAR + 2);
    it.parts.forEach((part, index) => {
      const until = it.parts[index + 1]?.t ?? to, up = it.upAt ?? to;
      // Not up yet: a frame only. Told to stop: faded. Passive, frozen or standing by: striped.
      if (part.t < up) { g.beginPath(); box(g, part.t, Math.min(up, until), y + 3, BAR - 6); g.strokeStyle = childColour(it.child); g.stroke(); }
      const from = Math.max(part.t, up);
      if (from > until || !visible(from, until)) return;
      const stop = it.stopAt === null ? until : Math.max(from, Math.min(until, it.stopAt));
      for (const [a, b, alpha] of [[from, stop, 1], [stop, until, .4]]) {
        if (b < a || (b === a && alpha < 1)) continue;
        g.beginPath(); box(g, a, b, y, BAR); g.globalAlpha = alpha;
        g.fillStyle = childColour(it.child); g.fill();
        if (part.role !== 'active') { g.fillStyle = pattern(g, 'passive'); g.fill(); }
        g.globalAlpha = 1;
      }
    });
    it.parts.forEach((part, index) => {
      const a = Math.max(GUTTER, x(part.t)), b = Math.min(size.w, x(it.parts[index + 1]?.t ?? to));
      if (b - a > 18) label(g, a, b, y, `${it.child} ${part.role === 'active' ? '' : `${part.role} `}${part.token.split('.').slice(0, 2).join('.')}`);
    });
    const left = Math.max(GUTTER, x(it.from)), right = Math.min(size.w, x(to));
    targets.push({ kind: 'instance', it, left, right, top: y, bottom: y + BAR,
      text: `${it.child}, instance ${it.seq} on ${lanes[lane].name}: ${it.parts.map((part) => `${part.role} token ${part.token}`).join(', then ')}; ${span(to - it.from)}${it.why ? `; told to stop: ${it.why}` : ''}${it.how ? `; ended: ${it.how}` : ''}` });
  }
  if (hidden) { g.fillStyle = colours.soft; g.fillText(`+${hidden} more`, size.w - 62, laneTops[lane].y + laneTops[lane].h - 7); }
}

// On a ground of its own: stripes would make it hard to read.
function label(g, left, right, y, text) {
  g.save(); g.beginPath(); g.rect(left, y, right - left - 2, BAR); g.clip();
  g.font = '10px system-ui, sans-serif';
  g.fillStyle = colours.back; g.globalAlpha = .55; g.fillRect(left + 2, y + 1, g.measureText(text).width + 5, BAR - 2);
  g.globalAlpha = 1; g.fillStyle = colours.ink; g.fillText(text, left + 4, y + BAR / 2 + .5);
  g.restore();
}

function drawAxis(g) {
  const wide = view.t1 - view.t0, rough = wide / Math.max(2, (size.w - GUTTER) / 110);
  const ten = 10 ** Math.floor(Math.log10(Math.max(1, rough))), step = [1, 2, 5, 10].map((n) => n * ten).find((n) => n >= rough);
  g.fillStyle = colours.soft; g.strokeStyle = colours.line;
  for (let t = Math.ceil(view.t0 / step) * step; t <= view.t1; t += step) {
    const at = Math.round(x(t)) + .5;
    g.globalAlpha = .5; g.beginPath(); g.moveTo(at, AXIS - 6); g.lineTo(at, size.h); g.stroke(); g.globalAlpha = 1;
    const digits = Math.max(0, Math.min(6, 6 - Math.floor(Math.log10(step))));
    g.fillText(`${(t / 1e6).toFixed(digits)} s`, at + 3, 9);
  }
  for (const phase of history_.phases) {
    if (!visible(phase.t, phase.t)) continue;
    g.setLineDash([2, 4]); g.strokeStyle = colours.soft; g.beginPath(); g.moveTo(x(phase.t), 0); g.lineTo(x(phase.t), size.h); g.stroke(); g.setLineDash([]);
    g.fillText(phase.name, x(phase.t) + 4, size.h - 8);
  }
}

const shows = (message) => (view.chatter || !message.chatter)
  && (view.only < 0 || message.from === view.only || message.to === view.only);
const inPast = (message) => !view.past || (message.sentStep >= 0 && view.past[message.sentStep] && (message.handledStep < 0 || view.past[message.handledStep]));

function drawMessages(g) {
  const usual = [], odd = [];
  for (const message of messages) {
    const until = message.until ?? end;
    if (!shows(message) || !visible(message.t, until) || (view.past && !inPast(message))) continue;
    (message.fate === 'arrived' || message.fate === 'unknown' ? usual : odd).push(message);
  }
  // Of too many, some: those that nothing happened to are thinned out first, evenly.
  const thin = (all, most) => (all.length <= most ? all : all.filter((_, index) => Math.floor((index + 1) * most / all.length) > Math.floor(index * most / all.length)));
  const rest = thin(odd, MOST_DRAWN), list = [...thin(usual, Math.max(500, MOST_DRAWN - rest.length)), ...rest];
  const was = drawn.left;
  drawn = { messages: list.length, left: usual.length + odd.length - list.length };
  if (was !== drawn.left) notice();
  const chosen = chosenMessages(), alpha = Math.max(.18, Math.min(.85, 250 / list.length));
  for (const message of list) if (!chosen.has(message.at)) arrow(g, message, message.fate === 'arrived' ? alpha : Math.max(.6, alpha), 1.1, colours.message);
  for (const at of chosen) if (visible(messages[at].t, messages[at].until ?? end)) arrow(g, messages[at], 1, 2.2, colours.accent);
  if (view.hover?.message !== undefined) arrow(g, messages[view.hover.message], 1, 2.6, colours.accent);
}
function chosenMessages() {
  const set = new Set(sentIn[view.at] ?? []);
  if (received[view.at] >= 0) set.add(received[view.at]);
  return set;
}

// The shape tells what became of it: arrived, a full head; late, a bent line and a hollow head; lost, broken off at a
// cross; a copy, a double head; still under way, dots without a head; sent to where nothing is known, a ring.
function arrow(g, message, alpha, width, colour) {
  const { fate } = message, until = message.until ?? end;
  const x1 = x(message.t), y1 = lineOf(message.from);
  let x2 = x(until), y2 = lineOf(message.to);
  if (fate === 'lost') { const part = .45; x2 = x1 + Math.min((x2 - x1) * part, 60); y2 = y1 + (y2 - y1) * part; }
  if (fate === 'under_way') { x2 = Math.min(x2, x1 + 120); y2 = y1 + (y2 - y1) * .6; }
  g.globalAlpha = alpha; g.lineWidth = width;
  g.strokeStyle = g.fillStyle = fate === 'lost' ? colours.bad : colour;
  g.setLineDash(fate === 'lost' ? [5, 3] : fate === 'under_way' ? [1.5, 4] : fate === 'copy' ? [7, 2, 2, 2] : []);
  const bend = fate === 'late' ? Math.max(14, Math.min(60, Math.abs(x2 - x1) * .35)) : 0;
  const cx = (x1 + x2) / 2 + bend, cy = y1 + (y2 - y1) * .18;
  g.beginPath(); g.moveTo(x1, y1);
  if (bend) g.quadraticCurveTo(Math.min(cx, Math.max(x1, x2)), cy, x2, y2); else g.lineTo(x2, y2);
  g.stroke(); g.setLineDash([]);
  const angle = bend ? Math.atan2(y2 - cy, x2 - Math.min(cx, Math.max(x1, x2))) : Math.atan2(y2 - y1, x2 - x1), s = width > 2 ? 8 : 6;
  const head = (px, py, full) => {
    g.beginPath(); g.moveTo(px, py);
    g.lineTo(px - s * Math.cos(angle - .42), py - s * Math.sin(angle - .42));
    g.lineTo(px - s * Math.cos(angle + .42), py - s * Math.sin(angle + .42));
    g.closePath();
    if (full) g.fill(); else { g.save(); g.fillStyle = colours.back; g.fill(); g.restore(); g.stroke(); }
  };
  if (fate === 'arrived') head(x2, y2, true);
  if (fate === 'unknown') { g.beginPath(); g.arc(x2, y2 - Math.sign(y2 - y1) * 3, 3, 0, 7); g.stroke(); }
  if (fate === 'late') head(x2, y2, false);
  if (fate === 'copy') { head(x2, y2, true); head(x2 - 6 * Math.cos(angle), y2 - 6 * Math.sin(angle), true); }
  if (fate === 'lost') { g.lineWidth = Math.max(1.6, width); g.beginPath(); g.moveTo(x2 - 4, y2 - 4); g.lineTo(x2 + 4, y2 + 4); g.moveTo(x2 + 4, y2 - 4); g.lineTo(x2 - 4, y2 + 4); g.stroke(); }
  g.globalAlpha = 1; g.lineWidth = 1;
  targets.push({ kind: 'message', message: message.at, x1, y1, x2, y2, text: wordsOfMessage(message) });
}
const FATES = { arrived: 'arrived', late: 'arrived late', lost: 'lost', copy: 'a copy, handled again', under_way: 'still on its way at the end', unknown: 'what became of it is not known here' };
function wordsOfMessage(message) {
  const took = message.until > message.t ? ` after ${span(message.until - message.t)}` : '';
  return `${message.sort} from ${lanes[message.from].name} to ${lanes[message.to].name}: ${FATES[message.fate]}${took}${message.why ? `: ${message.why}` : ''}`;
}

const MARKS = { boot: '●', crash: '✖', request: '◆' };
function drawSteps(g) {
  const wide = view.listed.length;
  const from = below(view.listed, firstAt(view.t0)), to = below(view.listed, firstAt(view.t1 + 1));
  const stride = Math.max(1, Math.floor((to - from) / 4000));
  for (let index = from; index < to && index < wide; index++) {
    const at = view.listed[index], step = steps[at], mark = MARKS[step.what];
    if (!mark && index % stride && !view.hits?.[at]) continue;
    const px = x(step.t), py = lineOf(step.lane);
    g.fillStyle = step.what === 'crash' ? colours.bad : step.what === 'request' ? colours.accent : colours.ink;
    if (mark) { g.textAlign = 'center'; g.fillText(mark, px, py); g.textAlign = 'left'; }
    else { g.beginPath(); g.arc(px, py, step.acts || step.state ? 2.4 : 1.5, 0, 7); g.fill(); }
    if (view.hits?.[at]) { g.strokeStyle = colours.warn; g.lineWidth = 2; g.beginPath(); g.arc(px, py, 6, 0, 7); g.stroke(); g.lineWidth = 1; }
    targets.push({ kind: 'step', at, px, py, text: `${lanes[step.lane].name} at ${seconds(step.t)}: ${step.text}` });
  }
}
// The place of the first step at or after a time.
function firstAt(t) {
  let low = 0, high = steps.length;
  while (low < high) { const middle = (low + high) >> 1; if (steps[middle].t < t) low = middle + 1; else high = middle; }
  return low;
}

function drawMarks(g) {
  const step = steps[view.at];
  if (step) {
    const px = x(step.t), py = lineOf(step.lane);
    g.strokeStyle = colours.accent; g.globalAlpha = .7; g.beginPath(); g.moveTo(px, AXIS - 4); g.lineTo(px, size.h); g.stroke(); g.globalAlpha = 1;
    g.lineWidth = 2.5; g.fillStyle = colours.back; g.beginPath(); g.arc(px, py, 6, 0, 7); g.fill(); g.stroke(); g.lineWidth = 1;
  }
  for (const pin of pins) {
    if (!visible(pin.t, pin.t)) continue;
    const px = x(pin.t);
    g.strokeStyle = g.fillStyle = colours.bad; g.lineWidth = 2; g.setLineDash([6, 3]);
    g.beginPath(); g.moveTo(px, 20); g.lineTo(px, size.h); g.stroke(); g.setLineDash([]); g.lineWidth = 1;
    g.font = 'bold 11px system-ui, sans-serif';
    const wide = g.measureText(pin.rule).width + 12, left = Math.min(Math.max(GUTTER, px - wide / 2), size.w - wide - 2);
    g.beginPath(); g.roundRect(left, 2, wide, 17, 5); g.moveTo(px - 5, 19); g.lineTo(px + 5, 19); g.lineTo(px, 26); g.fill();
    g.fillStyle = colours.back; g.fillText(pin.rule, left + 6, 11); g.font = '11px system-ui, sans-serif';
    targets.push({ kind: 'step', at: pin.at, px, py: 10, text: `${pin.rule}: ${pin.text}` });
  }
}

function drawName(g, lane, index) {
  const { y, h } = laneTops[index];
  g.fillStyle = colours.back; g.fillRect(0, y, GUTTER, h);
  g.strokeStyle = colours.line; g.beginPath(); g.moveTo(0, y + .5); g.lineTo(size.w, y + .5); g.stroke();
  g.fillStyle = colours.ink; g.font = '600 13px system-ui, sans-serif';
  g.fillText(lane.name.length > 11 ? `${lane.name.slice(0, 10)}…` : lane.name, 10, lineOf(index));
  g.font = '10px system-ui, sans-serif'; g.fillStyle = colours.soft;
  if (lane.remote) g.fillText('seen by messages', 4, lineOf(index) + 14);
  else if (h > 40) g.fillText('quorum', 10, lineOf(index) + 11.5);
  g.font = '11px system-ui, sans-serif';
}

function drawOverview() {
  const { g, w, h } = fit(overview);
  const ox = (t) => GUTTER + (t - start) / Math.max(1, end - start) * (w - GUTTER - 8);
  const each = (h - 8) / lanes.length;
  spans.forEach((s, lane) => {
    const y = 4 + lane * each, tall = Math.max(1, each - 1);
    g.fillStyle = colours.faint; g.fillRect(GUTTER, y, w - GUTTER - 8, tall);
    const bars = (list, colour, alpha) => { g.fillStyle = colour; g.globalAlpha = alpha; list.forEach(([a, b]) => g.fillRect(ox(a), y, Math.max(1, ox(b) - ox(a)), tall)); g.globalAlpha = 1; };
    bars(s.quorum.filter((it) => it[2].startsWith('ready')), colours.good, .35);
    bars(s.quorum.filter((it) => it[2].startsWith('locked')), colours.bad, .55);
    bars(s.cut, colours.hatch, .35);
    bars(s.pause, colours.pause, .6);
    bars(s.down, colours.ink, .55);
  });
  g.fillStyle = colours.bad;
  pins.forEach((pin) => g.fillRect(ox(pin.t) - 1, 0, 2.5, h));
  g.fillStyle = colours.accent;
  if (steps[view.at]) g.fillRect(ox(steps[view.at].t) - .75, 0, 1.5, h);
  g.globalAlpha = .13; g.fillRect(ox(view.t0), 0, Math.max(3, ox(view.t1) - ox(view.t0)), h); g.globalAlpha = 1;
  g.strokeStyle = colours.accent; g.strokeRect(ox(view.t0) + .5, .5, Math.max(3, ox(view.t1) - ox(view.t0)), h - 1);
  g.fillStyle = colours.soft; g.font = '10px system-ui, sans-serif'; g.textBaseline = 'middle'; g.fillText('whole run', 10, h / 2);
}
