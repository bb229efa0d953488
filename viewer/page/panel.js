// The panel: the chosen step in words, what it changed, and the list of all steps.

const $ = (id) => document.getElementById(id);
const make = (tag, text, cls) => { const it = document.createElement(tag); if (text !== undefined) it.textContent = text; if (cls) it.className = cls; return it; };
const ROW = 22;

function link(text, at) {
  const button = make('button', text, 'go');
  button.addEventListener('click', () => choose(at, true));
  return button;
}

function showStep() {
  const step = steps[view.at], detail = $('detail');
  detail.replaceChildren();
  if (!step) { $('what').textContent = 'This history has no steps.'; return; }
  $('number').textContent = `Step ${firstStep + view.at}`;
  $('when').textContent = `${seconds(step.t)} · ${lanes[step.lane].name}`;
  $('what').textContent = step.text;
  for (const pin of pins.filter((it) => it.at === view.at)) detail.append(make('p', `${pin.rule}${pin.child ? `, child ${pin.child}` : ''}: ${pin.text}`, 'violation'));
  if (received[view.at] >= 0) showMessage(detail, messages[received[view.at]], 'handles');
  for (const act of step.acts ?? []) detail.append(make('p', wordsOfAct(act)));
  for (const at of sentIn[view.at]) showMessage(detail, messages[at], 'sends');
  if (before[view.at] >= 0) { const p = make('p', undefined, 'small'); p.append('before it here: ', link(`step ${firstStep + before[view.at]}`, before[view.at])); detail.append(p); }
}
function showMessage(detail, message, verb) {
  const p = make('p'), other = verb === 'handles' ? message.from : message.to;
  const far = verb === 'handles' ? message.sentStep : message.handledStep;
  p.append(verb === 'handles' ? `← ${message.sort} from ${lanes[other].name}, ` : `→ ${message.sort} to ${lanes[other].name}, `);
  p.append(`${FATES[message.fate]}${message.until > message.t ? ` after ${span(message.until - message.t)}` : ''}${message.why ? `: ${message.why}` : ''}`);
  if (far >= 0) p.append(' · ', link(`step ${firstStep + far}`, far));
  if (message.text) p.append(make('br'), make('code', message.text));
  detail.append(p);
}
function wordsOfAct(act) {
  switch (act.act) {
    case 'start': return `start ${act.child}, instance ${act.seq}, ${act.role}, token ${act.token}`;
    case 'stop': return `stop ${act.child}, instance ${act.seq}: ${act.why}`;
    case 'role': return `${act.child}, instance ${act.seq}, is ${act.role} from here on${act.token ? `, token ${act.token}` : ''}`;
    case 'reply': return `reply to ${act.text}`;
    case 'hook': return `hook ${act.text}`;
    default: return act.text;
  }
}

function showState() {
  const step = steps[view.at], body = document.querySelector('#state tbody');
  body.replaceChildren();
  if (!step) return;
  const whole = $('whole').checked, was = stateBefore(step.lane, view.at), is = stateBefore(step.lane, view.at + 1);
  $('statename').textContent = whole ? `State of ${lanes[step.lane].name} after this step` : `What this step changed in ${lanes[step.lane].name}`;
  const names = [...new Set([...was.keys(), ...is.keys()])].filter((name) => whole || was.get(name) !== is.get(name)).sort(inOrder);
  for (const name of names) {
    const row = make('tr'), cell = make('td');
    row.append(make('td', name), cell);
    if (was.get(name) === is.get(name)) cell.textContent = is.get(name);
    else {
      row.className = 'changed';
      if (was.has(name)) cell.append(make('del', was.get(name)), ' ');
      if (is.has(name)) cell.append(make('ins', is.get(name)));
    }
    body.append(row);
  }
  if (!names.length) { const row = make('tr'), cell = make('td', 'nothing', 'none'); cell.colSpan = 2; row.append(cell); body.append(row); }
}
const inOrder = (a, b) => a.startsWith('child ') - b.startsWith('child ') || a.localeCompare(b, 'en', { numeric: true });

// ---- the list: only the rows in sight are there

function showList() {
  const list = $('list'), rows = $('rows');
  rows.style.height = `${view.listed.length * ROW}px`;
  const from = Math.max(0, Math.floor(list.scrollTop / ROW) - 4), to = Math.min(view.listed.length, from + Math.ceil(list.clientHeight / ROW) + 8);
  const fresh = [];
  for (let index = from; index < to; index++) {
    const at = view.listed[index], step = steps[at], row = make('div', undefined, 'row');
    row.style.top = `${index * ROW}px`;
    row.dataset.step = firstStep + at;
    row.setAttribute('role', 'option');
    row.setAttribute('aria-selected', at === view.at);
    if (pins.some((pin) => pin.at === at)) row.classList.add('bad');
    row.append(make('span', seconds(step.t), 't'), make('span', lanes[step.lane].name, 'n'), summary(at));
    row.addEventListener('click', () => choose(at, true));
    fresh.push(row);
  }
  rows.replaceChildren(...fresh);
  $('shown').textContent = view.listed.length === steps.length ? `${steps.length}` : `${view.listed.length} of ${steps.length}`;
}
// A step in one line; what was searched for is marked in it.
function summary(at) {
  const step = steps[at], acts = (step.acts ?? []).filter((act) => act.act !== 'other').map(wordsOfAct);
  const pinned = pins.filter((pin) => pin.at === at).map((pin) => `${pin.rule}!`);
  const text = [...pinned, step.text, ...acts].join(' · '), cell = make('span', undefined, 'x');
  const term = $('search').value.trim().toLowerCase(), found = term ? text.toLowerCase().indexOf(term) : -1;
  if (found < 0) cell.textContent = text;
  else cell.append(text.slice(0, found), make('mark', text.slice(found, found + term.length)), text.slice(found + term.length));
  return cell;
}
function reveal() {
  const list = $('list'), index = below(view.listed, view.at), top = index * ROW;
  if (top < list.scrollTop || top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 2;
  showList();
}
