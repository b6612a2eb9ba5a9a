(function () {
  "use strict";
  var made = Date.parse(document.querySelector(".made time").dateTime);
  var old = document.getElementById("old");
  function look() {
    var minutes = Math.floor((Date.now() - made) / 60000);
    old.hidden = minutes < 20;
    if (!old.hidden) {
      old.textContent = "This page is " + (minutes < 120 ? minutes + " minutes" : Math.floor(minutes / 60) + " hours") +
        " old: what it says may not be so any more. Reload it; if it stays old, the job status_page does not run.";
    }
  }
  look();
  setInterval(look, 30000);
}());
