// nodemailer's pool sending one fixed body: node pool.mjs PORT LETTERS BYTES CONNECTIONS
import nodemailer from "nodemailer";

const [port, letters, bytes, lanes] = process.argv.slice(2).map(Number);
const line = "Words of a fixed letter, as long as a line of ours is wont to be, no more.\n";
const half = line.repeat(Math.ceil(bytes / 2 / line.length)).slice(0, bytes / 2);
const pool = nodemailer.createTransport({
  pool: true, host: "127.0.0.1", port, ignoreTLS: true,
  maxConnections: lanes, maxMessages: Infinity,
});

async function send(count) {
  let next = 0;
  const lane = async () => {
    for (let n = next++; n < count; n = next++) {
      await pool.sendMail({
        from: "digest@example.org", to: `reader${n}@example.org`,
        subject: "One fixed body", text: half, html: `<p>${half}</p>`,
      });
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

await send(Math.min(letters, 300)); // connections open, code compiled
const cpu = process.cpuUsage(), begun = performance.now();
await send(letters);
const { user, system } = process.cpuUsage(cpu), seconds = (performance.now() - begun) / 1000;
console.log(JSON.stringify({
  letters, connections: lanes, letters_per_s: letters / seconds,
  cpu_ms_per_letter: (user + system) / 1000 / letters,
}));
pool.close();
