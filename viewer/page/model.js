// The history as data: steps, messages, spans of time, states, and what caused what. No drawing here.

const history_ = JSON.parse(document.getElementById('history').textContent);
const { steps, messages, lanes } = history_;
const firstStep = history_.first_step, firstMessage = history_.first_message;
const end = Math.max(history_.end, steps.length ? steps[steps.length - 1].t : 0, 1);
const start = steps.length ? steps[0].t : 0;

// Numbers in the file count from the beginning of the run; here they are places in the lists.
const placed = (number, first) => (number === undefined ? -1 : number - first);
const received = new Int32Array(steps.length).fill(-1);
const sentIn = steps.map(() => []);
messages.forEach((message, at) => {
  const from = placed(message.step, firstStep), to = placed(message.handled, firstStep);
  message.at = at;
  message.sentStep = from >= 0 ? from : -1;
  message.handledStep = to >= 0 ? to : -1;
  if (message.sentStep >= 0 && message.fate !== 'copy') sentIn[message.sentStep].push(at);
  if (message.handledStep >= 0) received[message.handledStep] = at;
});
const byLane = lanes.map(() => []);
steps.forEach((step, at) => byLane[step.lane].push(at));
const pins = history_.violations.map((pin) => ({ ...pin, at: Math.max(0, Math.min(steps.length - 1, pin.step - firstStep)) }));

const seconds = (t) => (t / 1e6).toFixed(t < 1e7 ? 6 : 5) + ' s';
const span = (t) => (t >= 1e6 ? (t / 1e6).toFixed(2) + ' s' : t >= 1e3 ? (t / 1e3).toFixed(1) + ' ms' : t + ' µs');

// ---- states: what a lane's node knew after a step

const KEEP = 200;
const kept = lanes.map((lane) => [new Map(Object.entries(lane.state))]);
function apply(state, step) {
  for (const [name, value] of Object.entries(step.state ?? {})) {
    if (value === null) state.delete(name); else state.set(name, value);
  }
}
byLane.forEach((list, lane) => {
  const state = new Map(kept[lane][0]);
  list.forEach((at, index) => {
    apply(state, steps[at]);
    if ((index + 1) % KEEP === 0) kept[lane].push(new Map(state));
  });
});
// How many of a list of ascending places are below a place.
function below(list, place) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < place) low = middle + 1; else high = middle;
  }
  return low;
}
// The state of a lane before the step at a place (so at place + 1: after it).
function stateBefore(lane, place) {
  const count = below(byLane[lane], place);
  const state = new Map(kept[lane][Math.floor(count / KEEP)]);
  for (let index = count - (count % KEEP); index < count; index++) apply(state, steps[byLane[lane][index]]);
  return state;
}

// ---- spans: while a process is down or paused, a direction is cut, a quorum is held, an instance is there

function spansOf() {
  const all = lanes.map((lane) => ({
    down: [], pause: [], cut: [], quorum: [], instances: [],
    downSince: lane.up || lane.remote ? -1 : start, pauseSince: lane.paused ? start : -1,
    cutSince: new Map(), open: new Map(), quorumNow: null, quorumSince: start,
  }));
  const quorumOf = (state) => {
    let held = null, size = '', phase = '';
    for (const [name, value] of state) {
      if (name.endsWith('quorum')) held = held === 'lost' ? held : value;
      else if (name.endsWith('view size')) size = value;
      else if (name.endsWith('phase')) phase = value;
    }
    return held === null ? null : `${held === 'lost' ? 'locked' : phase}|${size}`;
  };
  history_.cuts.forEach(([from, to]) => all[from].cutSince.set(to, start));
  lanes.forEach((lane, index) => {
    all[index].quorumNow = quorumOf(Object.entries(lane.state));
    lane.instances.forEach((it) => all[index].open.set(it.seq, {
      ...it, lane: index, from: it.since, to: null, parts: [{ t: it.since, role: it.role, token: it.token }], upAt: it.up ? it.since : null, stopAt: null,
    }));
  });
  const states = lanes.map((lane) => new Map(Object.entries(lane.state)));
  const close = (lane, seq, t, how) => {
    const it = all[lane].open.get(seq);
    if (!it) return;
    it.to = t; it.how = how;
    all[lane].open.delete(seq);
    all[lane].instances.push(it);
  };
  steps.forEach((step) => {
    const lane = all[step.lane], t = step.t;
    if (step.what === 'boot' && lane.downSince >= 0) { lane.down.push([lane.downSince, t]); lane.downSince = -1; }
    if (step.what === 'crash') {
      lane.downSince = t;
      if (lane.pauseSince >= 0) { lane.pause.push([lane.pauseSince, t]); lane.pauseSince = -1; }
      [...lane.open.keys()].forEach((seq) => close(step.lane, seq, t, 'with its node'));
    }
    if (step.what === 'pause' && lane.pauseSince < 0) lane.pauseSince = t;
    if (step.what === 'resume' && lane.pauseSince >= 0) { lane.pause.push([lane.pauseSince, t]); lane.pauseSince = -1; }
    if (step.what === 'cut') lane.cutSince.set(step.peer, t);
    if (step.what === 'heal' && lane.cutSince.has(step.peer)) {
      lane.cut.push([lane.cutSince.get(step.peer), t, step.peer]); lane.cutSince.delete(step.peer);
    }
    if (step.what === 'up' || step.what === 'started') { const it = lane.open.get(step.seq); if (it) it.upAt ??= t; }
    if (step.what === 'down' || step.what === 'ended') close(step.lane, step.seq, t, step.text);
    for (const act of step.acts ?? []) {
      if (act.act === 'start') {
        lane.open.set(act.seq, { seq: act.seq, child: act.child, lane: step.lane, from: t, to: null, upAt: null, stopAt: null,
          parts: [{ t, role: act.role, token: act.token }] });
      }
      const it = lane.open.get(act.seq);
      if (it && act.act === 'role') it.parts.push({ t, role: act.role, token: act.token || it.parts.at(-1).token });
      if (it && act.act === 'stop') { it.stopAt ??= t; it.why = act.why; }
    }
    if (step.state) {
      apply(states[step.lane], step);
      const now = quorumOf(states[step.lane]);
      if (now !== lane.quorumNow) {
        if (lane.quorumNow) lane.quorum.push([lane.quorumSince, t, lane.quorumNow]);
        lane.quorumNow = now; lane.quorumSince = t;
      }
    }
  });
  all.forEach((lane, index) => {
    if (lane.downSince >= 0) lane.down.push([lane.downSince, end]);
    if (lane.pauseSince >= 0) lane.pause.push([lane.pauseSince, end]);
    lane.cutSince.forEach((since, peer) => lane.cut.push([since, end, peer]));
    if (lane.quorumNow) lane.quorum.push([lane.quorumSince, end, lane.quorumNow]);
    [...lane.open.keys()].forEach((seq) => close(index, seq, null, ''));
    lane.instances.sort((a, b) => a.from - b.from);
    stack(lane.instances);
  });
  return all;
}
// Instances that overlap in time go to different rows.
function stack(instances) {
  const free = [];
  for (const it of instances) {
    let row = free.findIndex((until) => until <= it.from);
    if (row < 0) row = free.length;
    free[row] = it.to ?? Infinity;
    it.row = row;
  }
}
const spans = spansOf();

// ---- causes: a step's are the one before it in the same life of its node, and the one that sent what it handled

const before = new Int32Array(steps.length).fill(-1);
byLane.forEach((list) => {
  let last = -1;
  for (const at of list) {
    if (steps[at].what !== 'boot') before[at] = last;
    last = at;
  }
});
function pastOf(place) {
  const past = new Uint8Array(steps.length);
  const todo = [place];
  past[place] = 1;
  while (todo.length) {
    const at = todo.pop();
    const causes = [before[at], received[at] >= 0 ? messages[received[at]].sentStep : -1];
    for (const cause of causes) if (cause >= 0 && !past[cause]) { past[cause] = 1; todo.push(cause); }
  }
  return past;
}

// ---- search

// All that a step says, in small letters.
function wordsOf(at) {
  const step = steps[at];
  const parts = [lanes[step.lane].name, step.what, step.text];
  for (const act of step.acts ?? []) parts.push(Object.values(act).join(' '));
  for (const [name, value] of Object.entries(step.state ?? {})) parts.push(name, value ?? '');
  if (received[at] >= 0) parts.push(messages[received[at]].sort, messages[received[at]].text);
  for (const message of sentIn[at]) parts.push(messages[message].sort);
  return parts.join(' ').toLowerCase();
}
const isChatter = (at) => received[at] >= 0 && messages[received[at]].chatter && !steps[at].acts && !steps[at].state
  && sentIn[at].every((message) => messages[message].chatter);
const isIdleTick = (at) => steps[at].what === 'tick' && !steps[at].acts && !steps[at].state
  && sentIn[at].every((message) => messages[message].chatter);
