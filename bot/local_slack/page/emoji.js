// The emoji shortcodes that bots use most. Any other stays readable as :text:, as a missing emoji does in Slack.

const TABLE = `
white_check_mark ✅ heavy_check_mark ✔️ ballot_box_with_check ☑️ x ❌ heavy_multiplication_x ✖️ negative_squared_cross_mark ❎
warning ⚠️ no_entry ⛔ no_entry_sign 🚫 octagonal_sign 🛑 stop_sign 🛑 exclamation ❗ question ❓ bangbang ‼️ information_source ℹ️
hourglass ⌛ hourglass_flowing_sand ⏳ stopwatch ⏱️ timer_clock ⏲️ alarm_clock ⏰ clock1 🕐 calendar 📆 date 📅 spiral_calendar_pad 🗓️
rocket 🚀 ship 🚢 boat ⛵ sailboat ⛵ speedboat 🚤 anchor ⚓ ocean 🌊 lighthouse 🗼 compass 🧭 fire 🔥 zap ⚡ boom 💥 sparkles ✨ star ⭐
tada 🎉 confetti_ball 🎊 trophy 🏆 medal 🏅 checkered_flag 🏁 dart 🎯 bell 🔔 no_bell 🔕 loudspeaker 📢 mega 📣
chart_with_upwards_trend 📈 chart_with_downwards_trend 📉 bar_chart 📊 clipboard 📋 memo 📝 page_facing_up 📄 package 📦 inbox_tray 📥
outbox_tray 📤 link 🔗 paperclip 📎 pushpin 📌 round_pushpin 📍 mag 🔍 wrench 🔧 hammer 🔨 hammer_and_wrench 🛠️ gear ⚙️ toolbox 🧰
lock 🔒 unlock 🔓 closed_lock_with_key 🔐 key 🔑 shield 🛡️ robot_face 🤖 brain 🧠 test_tube 🧪 microscope 🔬 telescope 🔭 bug 🐛
arrows_counterclockwise 🔄 repeat 🔁 leftwards_arrow_with_hook ↩️ arrow_right ➡️ arrow_left ⬅️ arrow_up ⬆️ arrow_down ⬇️ arrow_forward ▶️
rewind ⏪ fast_forward ⏩ black_square_for_stop ⏹️ double_vertical_bar ⏸️ pause_button ⏸️ play_or_pause_button ⏯️
red_circle 🔴 large_orange_circle 🟠 large_yellow_circle 🟡 large_green_circle 🟢 large_blue_circle 🔵 large_purple_circle 🟣 white_circle ⚪ black_circle ⚫
red_square 🟥 large_green_square 🟩 large_yellow_square 🟨 large_blue_square 🟦 white_large_square ⬜ black_large_square ⬛ small_blue_diamond 🔹 small_orange_diamond 🔸
+1 👍 thumbsup 👍 -1 👎 thumbsdown 👎 ok_hand 👌 wave 👋 raised_hands 🙌 clap 👏 pray 🙏 muscle 💪 point_right 👉 point_up ☝️ eyes 👀
smile 😄 slightly_smiling_face 🙂 smiley 😃 grin 😁 joy 😂 wink 😉 thinking_face 🤔 sweat_smile 😅 cry 😢 sob 😭 scream 😱 sleeping 😴 zzz 💤
heart ❤️ broken_heart 💔 100 💯 coffee ☕ beers 🍻 cake 🍰 moneybag 💰 bulb 💡 computer 💻 desktop_computer 🖥️ cloud ☁️ sunny ☀️ crescent_moon 🌙
construction 🚧 rotating_light 🚨 vertical_traffic_light 🚦 twisted_rightwards_arrows 🔀 bookmark 🔖 label 🏷️ cherry_blossom 🌸 iris 🪻 seedling 🌱
`;

const EMOJI = new Map();
const words = TABLE.trim().split(/\s+/);
for (let index = 0; index < words.length; index += 2) EMOJI.set(words[index], words[index + 1]);

export const emoji = (name) => EMOJI.get(name) ?? `:${name}:`;
