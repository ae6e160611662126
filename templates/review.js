(() => {
  const bar = document.querySelector('.find');
  if (!bar) return;
  bar.hidden = false;
  const input = bar.querySelector('input'), output = bar.querySelector('output');
  const buttons = [...bar.querySelectorAll('button')];
  const rows = [...document.querySelectorAll('table.changes tbody tr, table.advisories tbody tr')];
  const sections = [...document.querySelectorAll('section.state')];
  let texts = null, timer = 0;
  const number = n => n.toLocaleString('en');
  function filter() {
    texts ??= rows.map(row => row.textContent.toLowerCase());
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kinds = buttons.filter(b => b.getAttribute('aria-pressed') === 'true').map(b => b.value);
    let shown = 0;
    rows.forEach((row, i) => {
      const fits = (!kinds.length || kinds.includes(row.className)) && words.every(w => texts[i].includes(w));
      if (row.hidden === fits) row.hidden = !fits;
      if (fits) shown += 1;
    });
    const any = words.length || kinds.length;
    for (const table of document.querySelectorAll('table')) table.hidden = any && !table.querySelector('tbody tr:not([hidden])');
    for (const section of sections) section.hidden = any && !section.querySelector('tbody tr:not([hidden])');
    output.textContent = any ? `${number(shown)} of ${number(rows.length)}` : `${number(rows.length)} rows`;
  }
  input.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(filter, 80); });
  for (const button of buttons) button.addEventListener('click', () => {
    button.setAttribute('aria-pressed', button.getAttribute('aria-pressed') !== 'true');
    filter();
  });
  output.textContent = `${number(rows.length)} rows`;
})();
