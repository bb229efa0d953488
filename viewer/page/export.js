// The steps in the list as text for other tools.

const MOST_MERMAID = 120;

// For shiviz: each event with its vector clock, `host {clock}` and the event in the next line.
// Read there with (?<host>\S*) (?<clock>{.*})\n(?<event>.*)
function shiviz() {
  const listed = new Uint8Array(steps.length);
  view.listed.forEach((at) => { listed[at] = 1; });
  const names = lanes.map((lane) => lane.name.replace(/\s/g, '_'));
  const clocks = lanes.map(() => ({})), after = new Map(), lines = [];
  steps.forEach((step, at) => {
    const clock = clocks[step.lane], cause = received[at] >= 0 ? messages[received[at]].sentStep : -1;
    const seen = after.get(cause);
    if (seen) for (const [name, count] of Object.entries(seen)) clock[name] = Math.max(clock[name] ?? 0, count);
    if (listed[at]) {
      clock[names[step.lane]] = (clock[names[step.lane]] ?? 0) + 1;
      lines.push(`${names[step.lane]} ${JSON.stringify(clock)}`, `${seconds(step.t)} ${summaryText(at)}`);
    }
    if (sentIn[at].length) after.set(at, { ...clock });
  });
  return { text: lines.join('\n') + '\n', note: `${view.listed.length} events; the parser's expression is (?<host>\\S*) (?<clock>{.*})\\n(?<event>.*)` };
}
const summaryText = (at) => [steps[at].text, ...(steps[at].acts ?? []).map(wordsOfAct)].join('; ').replace(/\s+/g, ' ');

// A sequence diagram of what is listed, for documents.
function mermaid() {
  const lines = ['sequenceDiagram'], name = (lane) => lanes[lane].name.replace(/[^\w]/g, '_');
  const clean = (text) => text.replace(/[;:#\n]/g, ' ').slice(0, 90);
  const used = new Set(view.listed.map((at) => steps[at].lane));
  lanes.forEach((_, lane) => { if (used.has(lane)) lines.push(`    participant ${name(lane)}`); });
  const take = view.listed.slice(-MOST_MERMAID);
  for (const at of take) {
    const step = steps[at], message = received[at] >= 0 ? messages[received[at]] : null;
    if (message) lines.push(`    ${name(message.from)}${message.fate === 'late' ? '-->>' : '->>'}${name(message.to)}: ${clean(message.sort)}${message.fate === 'copy' ? ' (copy)' : message.fate === 'late' ? ' (late)' : ''}`);
    const acts = (step.acts ?? []).filter((act) => act.act !== 'other').map(wordsOfAct);
    const words = message ? acts : [step.text, ...acts];
    if (words.length && step.what !== 'tick' || acts.length) lines.push(`    Note over ${name(step.lane)}: ${clean(words.join(', '))}`);
    for (const sent of sentIn[at]) if (messages[sent].fate === 'lost' && shows(messages[sent])) lines.push(`    ${name(messages[sent].from)}-x${name(messages[sent].to)}: ${clean(messages[sent].sort)} (lost)`);
    for (const pin of pins.filter((it) => it.at === at)) lines.push(`    Note over ${name(step.lane)}: ${clean(`${pin.rule} ${pin.text}`)}`);
  }
  return { text: lines.join('\n') + '\n', note: take.length < view.listed.length ? `the last ${take.length} of ${view.listed.length} steps: a diagram of more cannot be read` : `${take.length} steps` };
}

function exported(kind) {
  const { text, note } = kind === 'shiviz' ? shiviz() : mermaid();
  $('text').value = text;
  $('exported').textContent = note;
  $('save').href = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  $('save').download = `${history_.key || 'history'}.${kind === 'shiviz' ? 'log' : 'mmd'}`;
}
